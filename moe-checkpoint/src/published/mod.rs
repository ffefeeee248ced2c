//! Published models: their `config.json`, and what they hold and cost.

mod account;
mod common;
mod config;
mod countable;
mod deepseek;
mod defaults;
mod ends;
mod error;
mod known;
mod llama;
mod mixtral;
mod model;
mod olmoe;
mod qwen3;
mod resembling;
mod rope;
mod switch;
mod switch_account;
mod switch_fields;
mod unread;
mod vmoe;
mod vmoe_dispatcher;
mod vmoe_fields;
mod vmoe_router;
mod vmoe_router_fields;
mod words;

pub use account::{AttentionKind, PublishedAccount};
pub use common::Common;
pub use config::{PublishedConfig, config_file, model_type};
pub use deepseek::{DeepSeekGeneration, PublishedDeepSeek, PublishedLatent};
pub use ends::ends;
pub use error::PublishedError;
pub use known::{KNOWN_MODELS, KNOWN_SWITCH_MODELS, known_name};
pub use llama::PublishedLlama;
pub use mixtral::PublishedMixtral;
pub use model::PublishedModel;
pub use olmoe::PublishedOlmoe;
pub use qwen3::PublishedQwen3Moe;
pub use resembling::Resembling;
pub use rope::{PublishedRope, PublishedYarn};
pub use switch::PublishedSwitch;
pub use unread::WITHOUT_EFFECT;
pub use vmoe::{PublishedVmoe, PublishedVmoeExperts};
pub use vmoe_dispatcher::PublishedDispatcher;
pub use vmoe_router::{PublishedVmoeLosses, PublishedVmoeRouter};

pub(crate) use config::read_text;
pub(crate) use words::in_words_of;

/// The values of `model_type` that are known.
pub const MODEL_TYPES: [&str; 7] = [
    "mixtral",
    "deepseek",
    "deepseek_v2",
    "deepseek_v3",
    "olmoe",
    "qwen3_moe",
    "llama",
];
