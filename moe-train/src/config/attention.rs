//! The table `[attention]`.

use super::ModelConfig;
use moe_attention::{
    GroupedQueryAttentionConfig, LatentForm, MultiHeadLatentAttentionConfig, QkNorm,
};
use serde::{Deserialize, Serialize};

/// The table `[attention]`: its keys depend on the kind.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AttentionConfig {
    /// Grouped queries with rotary positions.
    Gqa(GqaConfig),
    /// Latent keys and values, for the families of DeepSeek.
    Mla(MlaConfig),
    /// Heads of keys and values of their own, without rotary positions, for encoders of images.
    Mha(MhaConfig),
    /// Unscaled scores with a learned bias for each distance, for an encoder with a decoder.
    T5(T5Config),
}

/// The keys of `[attention]` for `kind = "gqa"`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct GqaConfig {
    /// The number of query heads. Default: 8
    pub n_heads: usize,
    /// The number of key and value heads. Default: 4, for olmoe and the families of DeepSeek 8
    pub n_kv_heads: usize,
    /// The width of a head; 0 means `d_model / n_heads`. Default: 0
    pub head_dim: usize,
    /// The number of tokens that a token sees, its own counted; 0 means all. Default: 0
    pub sliding_window: usize,
    /// The base of the rotary angles. Default: 10000.0
    pub rope_theta: f64,
    /// The norm of queries and keys: none, heads (each head) or width (all heads together). Default: none, for
    /// qwen3_moe heads, for olmoe width
    pub qk_norm: QkNormKind,
    /// The bound that queries, keys and values are clamped to; 0 means none. Default: 0.0
    pub clip_qkv: f64,
}

/// The norm of queries and keys.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum QkNormKind {
    /// None.
    None,
    /// Each head.
    Heads,
    /// All heads of a token together.
    Width,
}

/// The keys of `[attention]` for `kind = "mla"`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MlaConfig {
    /// The number of heads. Default: 8
    pub n_heads: usize,
    /// The width of the latent of queries; 0 means that queries have none. Default: 96
    pub q_lora_rank: usize,
    /// The width of the latent of keys and values. Default: 64
    pub kv_lora_rank: usize,
    /// The width of the part of a query or key that has no position. Default: 32
    pub qk_nope_head_dim: usize,
    /// The width of the part of a query or key that has one, even. Default: 16
    pub qk_rope_head_dim: usize,
    /// The width of a value. Default: 32
    pub v_head_dim: usize,
    /// The order of the products: materialised, absorbed, or auto, the cheaper one. Default: auto
    pub form: MlaForm,
    /// The base of the rotary angles. Default: 10000.0
    pub rope_theta: f64,
}

/// The keys of `[attention]` for `kind = "mha"`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MhaConfig {
    /// The number of heads. Default: 4
    pub n_heads: usize,
    /// Normalise queries and keys. Default: false, for soft_moe true
    pub qk_norm: bool,
}

/// The keys of `[attention]` for `kind = "t5"`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct T5Config {
    /// The number of heads. Default: 4
    pub n_heads: usize,
    /// The width of a head; 0 means `d_model / n_heads`. Default: 0
    pub head_dim: usize,
    /// The number of buckets that distances are put in. Default: 32
    pub n_buckets: usize,
    /// Distances from here on share a bucket. Default: 128
    pub max_distance: usize,
}

/// The order in which latent attention multiplies its matrices.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum MlaForm {
    /// The cheaper one for the tokens and the cache of a call.
    Auto,
    /// Makes keys and values of every head.
    Materialised,
    /// Attends the latents themselves.
    Absorbed,
}

impl AttentionConfig {
    /// The names of all kinds.
    pub const NAMES: &'static [&'static str] = &["gqa", "mla", "mha", "t5"];

    /// The defaults of a kind in a family, if that family has one of that name.
    pub fn from_name(name: &str, family: &ModelConfig) -> Option<Self> {
        if !family.info().attention.contains(&name) {
            return None;
        }
        match name {
            "mla" => Some(Self::Mla(MlaConfig::default())),
            "mha" => Some(Self::Mha(MhaConfig {
                n_heads: 4,
                qk_norm: matches!(family, ModelConfig::SoftMoe(_)),
            })),
            "t5" => Some(Self::T5(T5Config {
                n_heads: 4,
                head_dim: 0,
                n_buckets: 32,
                max_distance: 128,
            })),
            "gqa" => Some(Self::Gqa(GqaConfig {
                n_kv_heads: match family {
                    ModelConfig::Mixtral(_) | ModelConfig::Qwen3Moe(_) | ModelConfig::Llama(_) => 4,
                    _ => 8,
                },
                qk_norm: match family {
                    ModelConfig::Qwen3Moe(_) => QkNormKind::Heads,
                    ModelConfig::Olmoe(_) => QkNormKind::Width,
                    _ => QkNormKind::None,
                },
                ..GqaConfig::default()
            })),
            _ => None,
        }
    }

    /// The number of heads.
    pub fn n_heads(&self) -> usize {
        match self {
            Self::Gqa(gqa) => gqa.n_heads.max(gqa.n_kv_heads),
            Self::Mla(mla) => mla.n_heads,
            Self::Mha(mha) => mha.n_heads,
            Self::T5(t5) => t5.n_heads,
        }
    }

    /// The base of the rotary angles, if positions are rotary.
    pub fn rope_theta(&self) -> Option<f64> {
        match self {
            Self::Gqa(gqa) => Some(gqa.rope_theta),
            Self::Mla(mla) => Some(mla.rope_theta),
            Self::Mha(_) | Self::T5(_) => None,
        }
    }
}

impl GqaConfig {
    /// The layer's configuration in a model whose norms have an epsilon.
    pub(super) fn layer(
        &self,
        d_model: usize,
        norm_eps: f64,
        seq_length: usize,
    ) -> GroupedQueryAttentionConfig {
        GroupedQueryAttentionConfig::new(d_model, self.n_heads, self.n_kv_heads)
            .with_head_dim(self.head_dim)
            .with_rope_theta(self.rope_theta)
            .with_sliding_window((self.sliding_window > 0).then_some(self.sliding_window))
            .with_qk_norm(match self.qk_norm {
                QkNormKind::None => QkNorm::None,
                QkNormKind::Heads => QkNorm::Heads,
                QkNormKind::Width => QkNorm::Width,
            })
            .with_qk_norm_eps(norm_eps)
            .with_clip_qkv((self.clip_qkv != 0.0).then_some(self.clip_qkv))
            .with_max_seq_length(seq_length)
    }
}

impl MlaConfig {
    /// The layer's configuration in a model.
    pub(super) fn layer(
        &self,
        d_model: usize,
        seq_length: usize,
    ) -> MultiHeadLatentAttentionConfig {
        MultiHeadLatentAttentionConfig::new(
            d_model,
            self.n_heads,
            self.kv_lora_rank,
            self.qk_nope_head_dim,
            self.qk_rope_head_dim,
            self.v_head_dim,
        )
        .with_q_lora_rank((self.q_lora_rank > 0).then_some(self.q_lora_rank))
        .with_rope_theta(self.rope_theta)
        .with_max_seq_length(seq_length)
        .with_form(match self.form {
            MlaForm::Auto => LatentForm::Auto,
            MlaForm::Materialised => LatentForm::Materialised,
            MlaForm::Absorbed => LatentForm::Absorbed,
        })
    }
}

impl Default for MlaConfig {
    fn default() -> Self {
        Self {
            n_heads: 8,
            q_lora_rank: 96,
            kv_lora_rank: 64,
            qk_nope_head_dim: 32,
            qk_rope_head_dim: 16,
            v_head_dim: 32,
            form: MlaForm::Auto,
            rope_theta: 10_000.0,
        }
    }
}

impl Default for GqaConfig {
    fn default() -> Self {
        Self {
            n_heads: 8,
            n_kv_heads: 4,
            head_dim: 0,
            sliding_window: 0,
            rope_theta: 10_000.0,
            qk_norm: QkNormKind::None,
            clip_qkv: 0.0,
        }
    }
}
