//! The keys of `[model]` for the family `qwen3_moe`.

use super::keys::FamilyKeys;
use super::llama::decoder;
use super::{ExpertsConfig, RunConfig};
use crate::task::AnyModelConfig;
use moe_models::DecoderConfig;
use serde::{Deserialize, Serialize};

/// The keys of `[model]` for `family = "qwen3_moe"`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Qwen3MoeModel {
    /// The width of the model. Default: 256
    pub d_model: usize,
    /// The number of layers, dense ones included. Default: 4
    pub n_layers: usize,
    /// Interval between layers with experts: the last of so many, `decoder_sparse_step`. Default: 1
    pub moe_every: usize,
    /// The indices of further dense layers, `mlp_only_layers`. Default: []
    pub dense_layers: Vec<usize>,
    /// The hidden width of a dense layer's feed-forward. Default: 768
    pub d_dense: usize,
    /// The epsilon of the RMS norms. Default: 1e-6
    pub norm_eps: f64,
    /// Use the embedding, transposed, as output head. Default: false
    pub tied_embeddings: bool,
    /// Accept a router that is not causal in a decoder. Default: false
    pub allow_leak: bool,
}

impl Default for Qwen3MoeModel {
    fn default() -> Self {
        Self {
            d_model: 256,
            n_layers: 4,
            moe_every: 1,
            dense_layers: Vec::new(),
            d_dense: 768,
            norm_eps: 1e-6,
            tied_embeddings: false,
            allow_leak: false,
        }
    }
}

impl FamilyKeys for Qwen3MoeModel {
    fn build(&self, config: &RunConfig) -> AnyModelConfig {
        let decoder = decoder(config, self.d_model, self.n_layers, self.norm_eps)
            .with_moe_every(self.moe_every)
            .with_moe_offset(self.moe_every.saturating_sub(1))
            .with_dense_layers(self.dense_layers.clone())
            .with_d_dense(self.d_dense)
            .with_tied_embeddings(self.tied_embeddings)
            .with_allow_leak(self.allow_leak);
        AnyModelConfig::Text(DecoderConfig::DeepSeek(decoder))
    }

    fn d_model(&self) -> usize {
        self.d_model
    }

    fn n_layers(&self) -> usize {
        self.n_layers
    }

    fn d_dense(&self) -> Option<(&'static str, usize)> {
        Some(("model.d_dense", self.d_dense))
    }

    fn norm_eps(&self) -> Option<f64> {
        Some(self.norm_eps)
    }

    fn experts(&self) -> ExpertsConfig {
        ExpertsConfig {
            n_experts: 16,
            d_expert: 256,
            ..ExpertsConfig::default()
        }
    }
}
