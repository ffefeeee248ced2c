//! Attention of the DeepSeek family: grouped-query or latent.

use crate::account::LayerAccount;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use moe_attention::{
    AttentionError, AttentionInput, GroupedQueryAttention, GroupedQueryAttentionConfig,
    MultiHeadLatentAttention, MultiHeadLatentAttentionConfig,
};

/// Configuration to create a [`DeepSeekAttention`].
#[derive(Config, Debug)]
pub enum DeepSeekAttentionConfig {
    /// Grouped queries, as in DeepSeekMoE.
    Gqa(GroupedQueryAttentionConfig),
    /// Latent keys and values, as in DeepSeek-V2 and V3.
    Mla(MultiHeadLatentAttentionConfig),
}

/// The attention of a DeepSeek layer.
#[allow(clippy::large_enum_variant)] // one a layer, holding weights far larger
#[derive(Module, Debug)]
pub enum DeepSeekAttention {
    /// Grouped queries with rotary positions in half-split pairs: DeepSeekMoE.
    Gqa(GroupedQueryAttention),
    /// Latent keys and values: DeepSeek-V2 and V3.
    Mla(MultiHeadLatentAttention),
}

impl DeepSeekAttentionConfig {
    /// The width of the model.
    pub fn d_model(&self) -> usize {
        match self {
            Self::Gqa(config) => config.d_model,
            Self::Mla(config) => config.d_model,
        }
    }

    /// Checks the sizes against each other.
    ///
    /// # Errors
    ///
    /// Names the size that is wrong.
    pub fn validate(&self) -> Result<(), AttentionError> {
        match self {
            Self::Gqa(config) => config.validate(),
            Self::Mla(config) => config.validate(),
        }
    }

    /// Builds the attention.
    pub fn init(&self, device: &Device) -> DeepSeekAttention {
        match self {
            Self::Gqa(config) => DeepSeekAttention::Gqa(config.init(device)),
            Self::Mla(config) => DeepSeekAttention::Mla(config.init(device)),
        }
    }

    /// The bytes that one token adds to a cache of elements of `element_bytes` bytes.
    pub fn kv_bytes_per_token(&self, element_bytes: usize) -> usize {
        match self {
            Self::Gqa(config) => config.kv_bytes_per_token(element_bytes),
            Self::Mla(config) => config.kv_bytes_per_token(element_bytes),
        }
    }

    /// The size and cost in sequences of `seq_length` tokens. Of latent attention queries, keys, values, the heads'
    /// outputs and the latents are kept.
    pub(super) fn account(&self, seq_length: usize) -> LayerAccount {
        match self {
            Self::Gqa(config) => LayerAccount::attention(config, seq_length),
            Self::Mla(c) => {
                let query_and_key = 2 * (c.qk_nope_head_dim + c.qk_rope_head_dim);
                let latents = c.q_lora_rank.unwrap_or(0) + c.kv_elements_per_token();
                LayerAccount {
                    params: c.n_params(),
                    active: c.n_params(),
                    flops: c.flops_per_token(seq_length),
                    kept: c.n_heads * (query_and_key + 2 * c.v_head_dim) + 2 * latents,
                }
            }
        }
    }
}

impl DeepSeekAttention {
    /// # Shapes
    ///
    /// - input: `[B, L, D]`
    /// - output: `[B, L, D]`
    pub(super) fn forward(&self, input: AttentionInput<'_>) -> Tensor<3> {
        match self {
            Self::Gqa(attention) => attention.forward(input),
            Self::Mla(attention) => attention.forward(input),
        }
    }
}
