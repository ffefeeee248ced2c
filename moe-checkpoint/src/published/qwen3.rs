//! The published configuration of Qwen3-MoE (Yang et al. 2025, arXiv 2505.09388), `model_type` "qwen3_moe".

use super::common::{Common, CommonFields};
use super::error::{Refusal, check_sizes, check_weight, needed};
use super::rope::RopeFields;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields as written.
#[derive(Deserialize, Debug)]
pub(super) struct Qwen3MoeFields {
    #[serde(flatten)]
    common: CommonFields,
    #[serde(flatten)]
    rope: RopeFields,
    num_experts: Option<usize>,
    num_experts_per_tok: Option<usize>,
    moe_intermediate_size: Option<usize>,
    norm_topk_prob: Option<bool>,
    decoder_sparse_step: Option<usize>,
    mlp_only_layers: Option<Vec<usize>>,
    router_aux_loss_coef: Option<f64>,
    use_sliding_window: Option<bool>,
    sliding_window: Option<usize>,
    #[serde(flatten)]
    left: Map<String, Value>,
}

/// A Qwen3-MoE model as published: queries and keys are normalised by head, and layers are dense or mixtures.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedQwen3Moe {
    /// Fields that all decoders have.
    #[serde(flatten)]
    pub common: Common,
    /// The number of experts of a mixture.
    pub num_experts: usize,
    /// The number of experts a token.
    pub num_experts_per_tok: usize,
    /// The hidden width of an expert.
    pub moe_intermediate_size: usize,
    /// True if the weights of a token's experts are divided by their sum.
    pub norm_topk_prob: bool,
    /// Interval between mixtures: the last of so many layers.
    pub decoder_sparse_step: usize,
    /// The indices of further dense layers.
    pub mlp_only_layers: Vec<usize>,
    /// Weight of the balance loss in training.
    pub router_aux_loss_coef: f64,
    /// Number of tokens that a token sees, itself included; none means all before it.
    pub sliding_window: Option<usize>,
}

impl Qwen3MoeFields {
    pub(super) fn resolve(self) -> Result<PublishedQwen3Moe, Refusal> {
        let window = self
            .sliding_window
            .filter(|_| self.use_sliding_window == Some(true));
        let published = PublishedQwen3Moe {
            common: self.common.resolve("qwen3_moe", &self.rope, &self.left)?,
            num_experts: needed("num_experts", self.num_experts)?,
            num_experts_per_tok: needed("num_experts_per_tok", self.num_experts_per_tok)?,
            moe_intermediate_size: needed("moe_intermediate_size", self.moe_intermediate_size)?,
            norm_topk_prob: self.norm_topk_prob.unwrap_or(false),
            decoder_sparse_step: self.decoder_sparse_step.unwrap_or(1),
            mlp_only_layers: self.mlp_only_layers.unwrap_or_default(),
            router_aux_loss_coef: needed("router_aux_loss_coef", self.router_aux_loss_coef)?,
            sliding_window: window,
        };
        check_sizes(&[
            ("num_experts", published.num_experts),
            ("num_experts_per_tok", published.num_experts_per_tok),
            ("moe_intermediate_size", published.moe_intermediate_size),
            ("decoder_sparse_step", published.decoder_sparse_step),
            ("sliding_window", window.unwrap_or(1).min(1 << 20)),
        ])?;
        published.common.check_default_rope()?;
        check_weight("router_aux_loss_coef", published.router_aux_loss_coef)?;
        Ok(published)
    }
}

impl PublishedQwen3Moe {
    /// Tells whether a layer is a mixture of experts.
    pub fn is_mixture(&self, layer: usize) -> bool {
        (layer + 1).is_multiple_of(self.decoder_sparse_step)
            && !self.mlp_only_layers.contains(&layer)
    }
}
