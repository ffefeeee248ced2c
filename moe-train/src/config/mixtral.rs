//! The keys of `[model]` for the families `mixtral` and `olmoe`.

use super::keys::FamilyKeys;
use super::{AttentionConfig, RunConfig};
use crate::task::AnyModelConfig;
use moe_models::{DecoderConfig, MixtralConfig};
use serde::{Deserialize, Serialize};

/// The keys of `[model]` for the families `mixtral` and `olmoe`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MixtralModel {
    /// The width of the model. Default: 256
    pub d_model: usize,
    /// The number of layers. Default: 4
    pub n_layers: usize,
    /// The epsilon of the RMS norms. Default: 1e-5
    pub norm_eps: f64,
    /// Use the embedding, transposed, as output head. Default: false
    pub tied_embeddings: bool,
    /// Accept a router that is not causal in a decoder. Default: false
    pub allow_leak: bool,
}

impl Default for MixtralModel {
    fn default() -> Self {
        Self {
            d_model: 256,
            n_layers: 4,
            norm_eps: 1e-5,
            tied_embeddings: false,
            allow_leak: false,
        }
    }
}

impl FamilyKeys for MixtralModel {
    fn build(&self, config: &RunConfig) -> AnyModelConfig {
        let AttentionConfig::Gqa(attention) = &config.attention else {
            panic!("Mixtral and OLMoE have grouped-query attention: attention.kind = \"gqa\"");
        };
        AnyModelConfig::Text(DecoderConfig::Mixtral(MixtralConfig {
            vocab_size: config.vocab_size(),
            n_layers: self.n_layers,
            norm_eps: self.norm_eps,
            attention: attention.layer(self.d_model, self.norm_eps, config.train.seq_length),
            moe: config.experts(),
            tied_embeddings: self.tied_embeddings,
            allow_leak: self.allow_leak,
        }))
    }

    fn d_model(&self) -> usize {
        self.d_model
    }

    fn n_layers(&self) -> usize {
        self.n_layers
    }

    fn norm_eps(&self) -> Option<f64> {
        Some(self.norm_eps)
    }
}
