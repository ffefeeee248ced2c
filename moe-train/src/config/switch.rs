//! The keys of `[model]` for the family `switch`.

use super::keys::FamilyKeys;
use super::{AttentionConfig, ExpertsConfig, RunConfig};
use crate::data::DataConfig;
use crate::task::AnyModelConfig;
use moe_experts::Activation;
use moe_models::switch::{Embeddings, PaddedTokens, SwitchConfig, SwitchStackConfig};
use serde::{Deserialize, Serialize};

/// The keys of `[model]` for `family = "switch"`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SwitchModel {
    /// The width of the model. Default: 128
    pub d_model: usize,
    /// The number of layers of the encoder. Default: 4
    pub n_layers: usize,
    /// The number of layers of the decoder. Default: 4
    pub n_decoder_layers: usize,
    /// Layer `i` of either has experts if `i % sparse_step` is 1, or if the step is 1; none has if it is 0.
    /// Default: 2
    pub sparse_step: usize,
    /// The hidden width of the feed-forward of the other layers. Default: 512
    pub d_dense: usize,
    /// The epsilon of the RMS norms. Default: 1e-6
    pub norm_eps: f64,
    /// Share one table between encoder, decoder and head. Default: true
    pub tied_embeddings: bool,
    /// Accept a router that is not causal in the decoder; the encoder always does. Default: false
    pub allow_leak: bool,
}

impl Default for SwitchModel {
    fn default() -> Self {
        Self {
            d_model: 128,
            n_layers: 4,
            n_decoder_layers: 4,
            sparse_step: 2,
            d_dense: 512,
            norm_eps: 1e-6,
            tied_embeddings: true,
            allow_leak: false,
        }
    }
}

impl FamilyKeys for SwitchModel {
    fn build(&self, config: &RunConfig) -> AnyModelConfig {
        let AttentionConfig::T5(attention) = &config.attention else {
            panic!("a Switch Transformer has relative positions: attention.kind = \"t5\"");
        };
        let stack = |n_layers| SwitchStackConfig {
            n_layers,
            sparse_step: self.sparse_step,
        };
        let switch = SwitchConfig {
            vocab_size: config.vocab_size(),
            encoder: stack(self.n_layers),
            decoder: stack(self.n_decoder_layers),
            n_heads: attention.n_heads,
            head_dim: match attention.head_dim {
                0 => self.d_model / attention.n_heads.max(1),
                head_dim => head_dim,
            },
            n_buckets: attention.n_buckets,
            max_distance: attention.max_distance,
            d_dense: self.d_dense,
            moe: config.experts(),
            norm_eps: self.norm_eps,
            embeddings: if self.tied_embeddings {
                Embeddings::Tied
            } else {
                Embeddings::Untied
            },
            padded_tokens: PaddedTokens::LeftOut,
            input_jitter: 0.0,
            allow_leak: self.allow_leak,
        };
        AnyModelConfig::Pairs(switch, config.pair_lengths())
    }

    fn d_model(&self) -> usize {
        self.d_model
    }

    fn n_layers(&self) -> usize {
        self.n_layers + self.n_decoder_layers
    }

    fn d_dense(&self) -> Option<(&'static str, usize)> {
        Some(("model.d_dense", self.d_dense))
    }

    fn norm_eps(&self) -> Option<f64> {
        Some(self.norm_eps)
    }

    fn experts(&self) -> ExpertsConfig {
        ExpertsConfig {
            activation: Activation::Relu,
            ..ExpertsConfig::default()
        }
    }
}

impl RunConfig {
    /// The most tokens of a text and of a target, of a configuration that reads pairs of texts.
    fn pair_lengths(&self) -> [usize; 2] {
        let DataConfig::Pairs(pairs) = &self.data else {
            panic!("an encoder with a decoder reads pairs of texts");
        };
        let length = self.train.seq_length;
        [pairs.input_length(length), pairs.output_length(length)]
    }
}
