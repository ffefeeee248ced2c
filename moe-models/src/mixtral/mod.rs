//! Mixtral: a decoder whose feed-forward layers are mixtures of experts (Jiang et al. 2024,
//! arXiv 2401.04088), over any router.

mod account;
mod block;
mod config;
mod model;

pub use block::MixtralBlock;
pub use config::MixtralConfig;
pub use model::Mixtral;
