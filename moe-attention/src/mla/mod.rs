//! Multi-head latent attention, DeepSeek-V2, arXiv 2405.04434, section 2.1.

mod config;
mod layer;

pub use config::*;
pub use layer::*;
