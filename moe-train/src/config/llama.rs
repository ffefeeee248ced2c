//! The keys of `[model]` for the family `llama`.

use super::keys::FamilyKeys;
use super::{AttentionConfig, ExpertsConfig, RunConfig};
use crate::task::AnyModelConfig;
use moe_models::deepseek::DeepSeekAttentionConfig;
use moe_models::{DecoderConfig, DeepSeekConfig};
use serde::{Deserialize, Serialize};

/// The keys of `[model]` for `family = "llama"`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LlamaModel {
    /// The width of the model. Default: 256
    pub d_model: usize,
    /// The number of layers. Default: 4
    pub n_layers: usize,
    /// The hidden width of a layer's feed-forward. Default: 768
    pub d_dense: usize,
    /// The epsilon of the RMS norms. Default: 1e-5
    pub norm_eps: f64,
    /// Use the embedding, transposed, as output head. Default: false
    pub tied_embeddings: bool,
}

impl Default for LlamaModel {
    fn default() -> Self {
        Self {
            d_model: 256,
            n_layers: 4,
            d_dense: 768,
            norm_eps: 1e-5,
            tied_embeddings: false,
        }
    }
}

impl FamilyKeys for LlamaModel {
    fn build(&self, config: &RunConfig) -> AnyModelConfig {
        let decoder = decoder(config, self.d_model, self.n_layers, self.norm_eps)
            .with_n_dense_layers(self.n_layers)
            .with_d_dense(self.d_dense)
            .with_tied_embeddings(self.tied_embeddings);
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

    /// A Llama has none.
    fn experts(&self) -> ExpertsConfig {
        ExpertsConfig {
            n_experts: 1,
            ..ExpertsConfig::default()
        }
    }
}

/// A decoder with grouped-query attention, of these sizes.
///
/// # Panics
///
/// Panics if attention is of another kind.
pub(super) fn decoder(
    config: &RunConfig,
    d_model: usize,
    n_layers: usize,
    norm_eps: f64,
) -> DeepSeekConfig {
    let AttentionConfig::Gqa(attention) = &config.attention else {
        panic!("Llama and Qwen3-MoE have grouped-query attention: attention.kind = \"gqa\"");
    };
    let attention = attention.layer(d_model, norm_eps, config.train.seq_length);
    let attention = DeepSeekAttentionConfig::Gqa(attention);
    DeepSeekConfig::new(config.vocab_size(), n_layers, attention, config.experts())
        .with_norm_eps(norm_eps)
}
