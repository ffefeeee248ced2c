//! DeepSeek: decoders of fine-grained experts beside shared ones. DeepSeekMoE (Dai et al. 2024, arXiv
//! 2401.06066), DeepSeek-V2 (arXiv 2405.04434) with latent attention, DeepSeek-V3 (arXiv 2412.19437)
//! with multi-token prediction besides; over any router.

mod account;
mod attention;
mod block;
mod config;
mod feed_forward;
mod model;
mod mtp;

pub use attention::{DeepSeekAttention, DeepSeekAttentionConfig};
pub use block::DeepSeekBlock;
pub use config::DeepSeekConfig;
pub use feed_forward::FeedForward;
pub use model::DeepSeek;
pub use mtp::MultiTokenPrediction;
