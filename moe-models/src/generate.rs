//! Sampling text from a decoder, token by token, from a cache.

mod batch;
mod generator;
mod sampling;
mod scores;

pub use generator::{Drafts, GeneratedToken, Generator, Pass};
pub use sampling::Sampling;
pub(crate) use scores::next_token;
pub use scores::{NotFinite, Scores};
