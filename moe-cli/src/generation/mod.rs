//! A generated text with the experts of each token, on a terminal and as a page.

mod ansi;
mod page;
mod trace;

pub use ansi::{bracketed, coloured, legend, visible};
pub use page::page;
pub use trace::{Piece, Trace};
