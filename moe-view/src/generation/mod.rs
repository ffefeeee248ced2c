//! A generated text with the experts of each token, on a terminal, as a page and as a picture.

mod ansi;
mod page;
mod picture;
mod trace;

pub use ansi::{bracketed, coloured, legend};
pub use page::{expert_styles, page};
pub use picture::picture;
pub use trace::{Piece, Trace};
