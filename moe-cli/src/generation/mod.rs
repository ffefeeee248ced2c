//! The models that write, from run folders and published checkpoints.

mod marked;
mod model;
mod recording;
mod sample;
mod words;
mod writer;

pub use model::TextModel;
pub use sample::{Continued, Generation};
pub use words::Words;
pub use writer::Writer;
