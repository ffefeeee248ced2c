//! Published models: their `config.json`, and what they hold and cost.

mod account;
mod common;
mod config;
mod countable;
mod deepseek;
mod error;
mod known;
mod mixtral;
mod model;
mod olmoe;
mod rope;
mod switch;
mod switch_account;
mod vmoe;
mod vmoe_router;

pub use account::{AttentionKind, PublishedAccount};
pub use common::Common;
pub use config::{PublishedConfig, model_type};
pub use deepseek::{DeepSeekGeneration, PublishedDeepSeek, PublishedLatent};
pub use error::PublishedError;
pub use known::{KNOWN_MODELS, KNOWN_SWITCH_MODELS};
pub use mixtral::PublishedMixtral;
pub use model::PublishedModel;
pub use olmoe::PublishedOlmoe;
pub use rope::{PublishedRope, PublishedYarn};
pub use switch::PublishedSwitch;
pub use vmoe::{PublishedVmoe, PublishedVmoeExperts};
pub use vmoe_router::{PublishedDispatcher, PublishedVmoeLosses, PublishedVmoeRouter};

/// The values of `model_type` that are known.
pub const MODEL_TYPES: [&str; 5] = ["mixtral", "deepseek", "deepseek_v2", "deepseek_v3", "olmoe"];
