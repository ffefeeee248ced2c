//! Mixture-of-experts models composed of routers, experts and attention.
//!
//! A model returns the [`Routing`](moe_router::Routing) of each of its MoE layers beside its output.

mod account;
pub mod bounds;
pub mod checkpoint;
mod decoder;
pub mod deepseek;
pub mod disk;
mod error;
mod finite;
mod generate;
mod guard;
mod half;
pub mod memory;
pub mod mixtral;
mod path;
mod pointer;
pub mod published;
mod seed;
pub mod switch;
pub mod vmoe;

pub use account::{Account, MemoryEstimate};
pub use decoder::{
    AnyDecoder, Decoder, DecoderCache, DecoderConfig, DecoderInput, DecoderOutput, DecoderTrace,
    token_losses,
};
pub use deepseek::{DeepSeek, DeepSeekConfig};
pub use error::ModelError;
pub use finite::not_finite;
pub use generate::{Drafts, GeneratedToken, Generator, NotFinite, Sampling, Scores};
pub use guard::{guarded, is_guarded};
pub use half::{WeightType, with_bf16_weights};
pub use mixtral::{Mixtral, MixtralConfig};
pub use path::ParameterPath;
pub use seed::{path_seed, seed_parameters};
pub use vmoe::{Vmoe, VmoeConfig, VmoeInput, VmoeOutput};
