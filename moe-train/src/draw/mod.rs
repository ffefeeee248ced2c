//! What all figures and pages share: axes and escaped text.

mod escape;
mod scale;

pub use escape::escape;
pub use scale::{Origin, Scale, label};
