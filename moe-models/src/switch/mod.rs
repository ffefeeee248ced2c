//! The Switch Transformer: an encoder and a decoder whose feed-forward layers are in part mixtures of
//! experts with one expert a token (Fedus et al. 2021, arXiv 2101.03961), on the architecture of T5
//! (Raffel et al. 2019, arXiv 1910.10683), over any router.

mod account;
mod block;
mod cache;
mod config;
mod feed_forward;
mod generate;
mod input;
mod loss;
mod model;
mod output;
mod seeded;
mod stack;

pub use account::SwitchBatch;
pub use block::{CrossAttention, SwitchBlock};
pub use cache::SwitchCache;
pub use config::{Embeddings, PaddedTokens, SwitchConfig, SwitchStackConfig};
pub use feed_forward::SwitchFeedForward;
pub use generate::SwitchGenerator;
pub use input::SwitchInput;
pub use loss::{StackLosses, stack_losses, target_losses};
pub use model::Switch;
pub use output::{Encoded, SwitchOutput, SwitchTrace};
pub use stack::SwitchStack;

#[cfg(test)]
mod tests;
