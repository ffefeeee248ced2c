//! The configuration of a decoder of any family.

use super::AnyDecoder;
use crate::{Account, DeepSeekConfig, MixtralConfig, ModelError, seed_parameters};
use burn::tensor::Device;
use moe_router::RouterConfig;

/// The configuration of a decoder of any family.
#[derive(Debug, Clone)]
pub enum DecoderConfig {
    /// A Mixtral-style decoder.
    Mixtral(MixtralConfig),
    /// A DeepSeek-style decoder.
    DeepSeek(DeepSeekConfig),
}

impl DecoderConfig {
    /// Checks that all sizes fit together and that the router may be used in a decoder.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    pub fn validate(&self, router: &RouterConfig) -> Result<(), ModelError> {
        match self {
            Self::Mixtral(config) => config.validate(router),
            Self::DeepSeek(config) => config.validate(router),
        }
    }

    /// Checks that there is a mixture of experts.
    ///
    /// # Errors
    ///
    /// Returns how many layers there are, and that all are dense.
    pub fn check_mixtures(&self) -> Result<(), ModelError> {
        match self {
            Self::Mixtral(_) => Ok(()),
            Self::DeepSeek(config) => config.check_mixtures(),
        }
    }

    /// Builds the decoder with the weights that a seed gives.
    pub fn init(&self, router: &RouterConfig, seed: u64, device: &Device) -> AnyDecoder {
        match self {
            Self::Mixtral(config) => {
                let model = config.init(|shape| router.init(shape, device), device);
                AnyDecoder::Mixtral(seed_parameters(model, seed, config.n_layers))
            }
            Self::DeepSeek(config) => {
                let model = config.init(|shape| router.init(shape, device), device);
                AnyDecoder::DeepSeek(seed_parameters(model, seed, config.n_layers))
            }
        }
    }

    /// The size and cost of the decoder with a router, trained on batches of `batch_size` sequences of
    /// `seq_length` tokens.
    pub fn account(&self, router: &RouterConfig, batch_size: usize, seq_length: usize) -> Account {
        match self {
            Self::Mixtral(config) => config.account(router, batch_size, seq_length),
            Self::DeepSeek(config) => config.account(router, batch_size, seq_length),
        }
    }
}
