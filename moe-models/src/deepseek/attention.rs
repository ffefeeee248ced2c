//! Attention of the DeepSeek family: grouped-query or latent.

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

    /// The number of parameters.
    pub fn n_params(&self) -> usize {
        match self {
            Self::Gqa(config) => config.n_params(),
            Self::Mla(config) => config.n_params(),
        }
    }

    /// The mean FLOP of one token's forward pass in a sequence of `context` tokens.
    pub fn flops_per_token(&self, context: usize) -> u64 {
        match self {
            Self::Gqa(config) => config.flops_per_token(context),
            Self::Mla(config) => config.flops_per_token(context),
        }
    }

    /// The bytes that one token adds to a cache of elements of `element_bytes` bytes.
    pub fn kv_bytes_per_token(&self, element_bytes: usize) -> usize {
        match self {
            Self::Gqa(config) => config.kv_bytes_per_token(element_bytes),
            Self::Mla(config) => config.kv_bytes_per_token(element_bytes),
        }
    }

    /// The numbers that the backward pass keeps of one token: queries, keys, values and the heads'
    /// outputs. An estimate.
    pub(super) fn kept_per_token(&self) -> usize {
        match self {
            Self::Gqa(c) => 2 * (c.n_heads + c.n_kv_heads) * c.resolved_head_dim(),
            Self::Mla(c) => {
                let query_and_key = 2 * (c.qk_nope_head_dim + c.qk_rope_head_dim);
                let latents = c.q_lora_rank.unwrap_or(0) + c.kv_elements_per_token();
                c.n_heads * (query_and_key + 2 * c.v_head_dim) + 2 * latents
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
