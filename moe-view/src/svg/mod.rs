//! Parts that all figures and pages share: axes, columns of text, escaped text, pictures.

mod escape;
mod png;
mod scale;

pub use escape::escape;
pub use png::uri;
pub use scale::{Origin, Scale, label};
