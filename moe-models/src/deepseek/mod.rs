//! DeepSeek: decoders of fine-grained experts beside shared ones. DeepSeekMoE (Dai et al. 2024, arXiv
//! 2401.06066), DeepSeek-V2 (arXiv 2405.04434) with latent attention, DeepSeek-V3 (arXiv 2412.19437)
//! with multi-token prediction besides; over any router.
//!
//! Two families of others are decoders of this kind, with grouped-query attention and none of the rest: Qwen3-MoE
//! (Yang et al. 2025, arXiv 2505.09388), which normalises queries and keys, and Llama (Touvron et al. 2023, arXiv
//! 2302.13971), whose layers are all dense.

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
