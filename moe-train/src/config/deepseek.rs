//! The keys of `[model]` for the families of DeepSeek.

use super::keys::FamilyKeys;
use super::{AttentionConfig, ExpertsConfig, RunConfig};
use crate::task::AnyModelConfig;
use moe_models::deepseek::DeepSeekAttentionConfig;
use moe_models::{DecoderConfig, DeepSeekConfig};
use serde::{Deserialize, Serialize};

/// The keys of `[model]` for the families of DeepSeek.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DeepSeekModel {
    /// The width of the model. Default: 256
    pub d_model: usize,
    /// The number of layers, dense ones included. Default: 4
    pub n_layers: usize,
    /// The number of layers at the start that are dense. Default: 1
    pub n_dense_layers: usize,
    /// Interval between layers with experts: those behind the dense ones whose index is a multiple of it.
    /// Default: 1
    pub moe_every: usize,
    /// The hidden width of a dense layer's feed-forward. Default: 768
    pub d_dense: usize,
    /// The number of modules of multi-token prediction. Default: 0, for deepseek_v3 1
    pub n_mtp_layers: usize,
    /// The weight of their loss, the lambda of DeepSeek-V3. Default: 0.3
    pub mtp_weight: f64,
    /// The epsilon of the RMS norms. Default: 1e-6
    pub norm_eps: f64,
    /// Use the embedding, transposed, as output head. Default: false
    pub tied_embeddings: bool,
    /// Accept a router that is not causal in a decoder. Default: false
    pub allow_leak: bool,
}

impl Default for DeepSeekModel {
    fn default() -> Self {
        Self {
            d_model: 256,
            n_layers: 4,
            n_dense_layers: 1,
            moe_every: 1,
            d_dense: 768,
            n_mtp_layers: 0,
            mtp_weight: 0.3,
            norm_eps: 1e-6,
            tied_embeddings: false,
            allow_leak: false,
        }
    }
}

impl DeepSeekModel {
    /// The defaults with one module of multi-token prediction.
    pub(super) fn with_mtp() -> Self {
        Self {
            n_mtp_layers: 1,
            ..Self::default()
        }
    }
}

impl FamilyKeys for DeepSeekModel {
    fn build(&self, config: &RunConfig) -> AnyModelConfig {
        let seq_length = config.train.seq_length;
        let attention = match &config.attention {
            AttentionConfig::Gqa(gqa) => {
                DeepSeekAttentionConfig::Gqa(gqa.layer(self.d_model, self.norm_eps, seq_length))
            }
            AttentionConfig::Mla(mla) => {
                DeepSeekAttentionConfig::Mla(mla.layer(self.d_model, seq_length))
            }
            AttentionConfig::Mha(_) | AttentionConfig::T5(_) => {
                panic!("a DeepSeek has rotary positions: attention.kind = \"mla\" or \"gqa\"")
            }
        };
        AnyModelConfig::Text(DecoderConfig::DeepSeek(DeepSeekConfig {
            vocab_size: config.vocab_size(),
            n_layers: self.n_layers,
            n_dense_layers: self.n_dense_layers,
            moe_every: self.moe_every,
            moe_offset: 0,
            dense_layers: Vec::new(),
            d_dense: self.d_dense,
            norm_eps: self.norm_eps,
            attention,
            moe: config.experts(),
            n_mtp_layers: self.n_mtp_layers,
            tied_embeddings: self.tied_embeddings,
            allow_leak: self.allow_leak,
        }))
    }

    fn d_model(&self) -> usize {
        self.d_model
    }

    fn n_layers(&self) -> usize {
        self.n_layers + self.n_mtp_layers
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
            d_expert: 128,
            n_shared_experts: 2,
            ..ExpertsConfig::default()
        }
    }

    fn n_mtp_layers(&self) -> usize {
        self.n_mtp_layers
    }

    fn mtp_weight(&self) -> f64 {
        self.mtp_weight
    }
}
