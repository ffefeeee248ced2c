//! Sampling text from a decoder, token by token, from a cache.

mod batch;
mod generator;
mod sampling;

pub use generator::{Drafts, GeneratedToken, Generator};
pub use sampling::Sampling;
