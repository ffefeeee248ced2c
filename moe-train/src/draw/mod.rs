//! Parts that all figures and pages share: axes, columns of text, escaped text, pictures.

mod columns;
mod escape;
mod png;
mod scale;

pub use columns::{Align, columns};
pub use escape::escape;
pub use png::png_uri;
pub use scale::{Origin, Scale, label};
