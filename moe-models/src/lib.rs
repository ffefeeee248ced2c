//! Mixture-of-experts models composed of routers, experts and attention.
//!
//! [moe-router]: moe_router
//! [moe-experts]: moe_experts
//! [moe-attention]: moe_attention
//! [moe-checkpoint]: ../moe_checkpoint/index.html
//! [moe-train]: ../moe_train/index.html
#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod account;
pub mod bounds;
mod cross_entropy;
mod decoder;
pub mod deepseek;
mod error;
mod finite;
#[cfg(feature = "flex")]
mod flex;
mod generate;
mod held;
pub mod mixtral;
mod path;
mod rms_norm;
mod seed;
pub mod switch;
pub mod vmoe;

pub use account::{Account, MemoryEstimate};
pub use cross_entropy::cross_entropy;
pub use decoder::{
    AnyDecoder, Decoder, DecoderCache, DecoderConfig, DecoderInput, DecoderOutput, DecoderTrace,
    token_losses,
};
pub use deepseek::{DeepSeek, DeepSeekConfig};
pub use error::ModelError;
pub use finite::not_finite;
pub use generate::{Drafts, GeneratedToken, Generator, NotFinite, Pass, Sampling, Scores};
pub use held::{WeightType, held_in_f32, with_bf16_weights};
pub use mixtral::{Mixtral, MixtralConfig};
pub use path::ParameterPath;
pub use seed::{path_seed, seed_parameters};
pub use vmoe::{Vmoe, VmoeConfig, VmoeInput, VmoeOutput};
