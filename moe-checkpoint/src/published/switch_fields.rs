//! The fields of a published Switch configuration as written; those left out have the defaults of
//! transformers 5.23 (`configuration_switch_transformers.py`).

use super::PublishedSwitch;
use super::ends::Ids;
use super::error::{Refusal, check_jitter, check_weight};
use super::unread::unknown;
use moe_experts::Activation;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The fields as written.
#[derive(Deserialize, Debug)]
#[serde(default)]
pub(super) struct SwitchFields {
    vocab_size: usize,
    d_model: usize,
    d_kv: usize,
    d_ff: usize,
    expert_capacity: usize,
    num_layers: usize,
    num_sparse_encoder_layers: usize,
    num_decoder_layers: Option<usize>,
    num_sparse_decoder_layers: usize,
    num_heads: usize,
    num_experts: usize,
    router_bias: bool,
    router_jitter_noise: f64,
    router_dtype: String,
    relative_attention_num_buckets: usize,
    relative_attention_max_distance: usize,
    layer_norm_epsilon: f64,
    router_z_loss_coef: f64,
    router_aux_loss_coef: f64,
    dense_act_fn: String,
    is_gated_act: bool,
    pad_token_id: u32,
    eos_token_id: Option<Ids>,
    decoder_start_token_id: Option<u32>,
    tie_word_embeddings: bool,
    #[serde(flatten)]
    left: Map<String, Value>,
}

impl Default for SwitchFields {
    fn default() -> Self {
        Self {
            vocab_size: 32128,
            d_model: 768,
            d_kv: 64,
            d_ff: 2048,
            expert_capacity: 64,
            num_layers: 12,
            num_sparse_encoder_layers: 3,
            num_decoder_layers: Some(12),
            num_sparse_decoder_layers: 3,
            num_heads: 12,
            num_experts: 8,
            router_bias: false,
            router_jitter_noise: 0.01,
            router_dtype: "float32".to_owned(),
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            router_z_loss_coef: 0.001,
            router_aux_loss_coef: 0.001,
            dense_act_fn: "relu".to_owned(),
            is_gated_act: false,
            pad_token_id: 0,
            eos_token_id: Some(Ids::One(1)),
            decoder_start_token_id: None,
            tie_word_embeddings: true,
            left: Map::new(),
        }
    }
}

impl SwitchFields {
    /// The configuration, checked.
    pub(super) fn resolve(self) -> Result<PublishedSwitch, Refusal> {
        let activation = self.activation()?;
        if self.router_dtype != "float32" {
            let rule = "routers compute in float32 here";
            return Err(Refusal::new("router_dtype", self.router_dtype, rule));
        }
        check_jitter(self.router_jitter_noise)?;
        check_weight("router_z_loss_coef", self.router_z_loss_coef)?;
        check_weight("router_aux_loss_coef", self.router_aux_loss_coef)?;
        let published = PublishedSwitch {
            vocab_size: self.vocab_size,
            d_model: self.d_model,
            d_kv: self.d_kv,
            d_ff: self.d_ff,
            expert_capacity: self.expert_capacity,
            num_layers: self.num_layers,
            num_sparse_encoder_layers: self.num_sparse_encoder_layers,
            num_decoder_layers: self.num_decoder_layers.unwrap_or(self.num_layers),
            num_sparse_decoder_layers: self.num_sparse_decoder_layers,
            num_heads: self.num_heads,
            num_experts: self.num_experts,
            router_bias: self.router_bias,
            router_jitter_noise: self.router_jitter_noise,
            relative_attention_num_buckets: self.relative_attention_num_buckets,
            relative_attention_max_distance: self.relative_attention_max_distance,
            layer_norm_epsilon: self.layer_norm_epsilon,
            router_z_loss_coef: self.router_z_loss_coef,
            router_aux_loss_coef: self.router_aux_loss_coef,
            activation,
            pad_token_id: self.pad_token_id,
            eos_token_ids: self.eos_token_id.map(Vec::from).unwrap_or_default(),
            decoder_start_token_id: self.decoder_start_token_id.unwrap_or(self.pad_token_id),
            tie_word_embeddings: self.tie_word_embeddings,
            unread: unknown(&self.left, ""),
        };
        published.check()?;
        Ok(published)
    }

    fn activation(&self) -> Result<Activation, Refusal> {
        let name = self.dense_act_fn.as_str();
        match (name, self.is_gated_act) {
            ("relu", false) => Ok(Activation::Relu),
            ("silu" | "swish", false) => Ok(Activation::Silu),
            ("gelu_new" | "gelu_pytorch_tanh", false) => Ok(Activation::Gelu),
            ("silu" | "swish", true) => Ok(Activation::SwiGlu),
            (_, true) => {
                let rule = "is_gated_act is true, and the gated activation known is silu (SwiGLU)";
                Err(Refusal::new("dense_act_fn", name, rule))
            }
            (_, false) => {
                let rule = "the activations known are relu, gelu_new and silu";
                Err(Refusal::new("dense_act_fn", name, rule))
            }
        }
    }
}
