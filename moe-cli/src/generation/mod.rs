//! A generated text with the experts of each token, on a terminal, as a page and as a picture.

mod ansi;
mod marked;
mod model;
mod page;
mod picture;
mod sample;
mod trace;
mod words;
mod writer;

pub use ansi::{bracketed, coloured, legend};
pub use model::TextModel;
pub use page::{expert_styles, page};
pub use picture::picture;
pub use sample::Generation;
pub use trace::{Piece, Trace};
pub use writer::Writer;
