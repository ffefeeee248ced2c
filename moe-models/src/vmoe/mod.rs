//! Vision transformers whose feed-forward layers are mixtures of experts: V-MoE (Riquelme et al. 2021, arXiv
//! 2106.05974), Soft-MoE (Puigcerver et al. 2023, arXiv 2308.00951) and experts that choose, over any router.
//!
//! Axis legend: B images, H by W pixels, C channels, N tokens of an image, D model width.

mod account;
mod attention;
mod block;
mod check;
mod config;
mod feed_forward;
mod input;
mod layers;
mod loss;
mod model;
mod output;
mod patches;
mod pooling;

pub use attention::{EncoderAttention, EncoderAttentionConfig};
pub use block::VmoeBlock;
pub use config::{Grouping, Pooling, VmoeConfig};
pub use feed_forward::EncoderFeedForward;
pub use input::VmoeInput;
pub use layers::{every, last, last_odd};
pub use loss::sigmoid_cross_entropy;
pub use model::Vmoe;
pub use output::{VmoeOutput, VmoeTrace};
pub use patches::PatchPositions;
pub use pooling::AttentionPooling;
