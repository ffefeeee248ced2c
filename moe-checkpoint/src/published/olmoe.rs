//! The published configuration of OLMoE (Muennighoff et al. 2024, arXiv 2409.02060), `model_type` "olmoe".

use super::common::{Common, CommonFields};
use super::error::{Refusal, check_positive, check_sizes, check_weight, needed};
use super::rope::RopeFields;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields as written.
#[derive(Deserialize, Debug)]
pub(super) struct OlmoeFields {
    #[serde(flatten)]
    common: CommonFields,
    #[serde(flatten)]
    rope: RopeFields,
    num_experts: Option<usize>,
    num_experts_per_tok: Option<usize>,
    norm_topk_prob: Option<bool>,
    router_aux_loss_coef: Option<f64>,
    clip_qkv: Option<f64>,
    #[serde(flatten)]
    left: Map<String, Value>,
}

/// An OLMoE model as published: a Mixtral that normalises queries and keys over all heads.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedOlmoe {
    /// Fields that all decoders have.
    #[serde(flatten)]
    pub common: Common,
    /// The number of experts of a layer.
    pub num_experts: usize,
    /// The number of experts a token.
    pub num_experts_per_tok: usize,
    /// True if the weights of a token's experts are divided by their sum.
    pub norm_topk_prob: bool,
    /// Weight of the balance loss in training.
    pub router_aux_loss_coef: f64,
    /// The bound that queries, keys and values are clamped to.
    pub clip_qkv: Option<f64>,
}

impl OlmoeFields {
    pub(super) fn resolve(self) -> Result<PublishedOlmoe, Refusal> {
        let published = PublishedOlmoe {
            common: self.common.resolve("olmoe", &self.rope, &self.left)?,
            num_experts: needed("num_experts", self.num_experts)?,
            num_experts_per_tok: needed("num_experts_per_tok", self.num_experts_per_tok)?,
            norm_topk_prob: self.norm_topk_prob.unwrap_or(false),
            router_aux_loss_coef: needed("router_aux_loss_coef", self.router_aux_loss_coef)?,
            clip_qkv: self.clip_qkv,
        };
        check_sizes(&[
            ("num_experts", published.num_experts),
            ("num_experts_per_tok", published.num_experts_per_tok),
        ])?;
        published.common.check_default_rope()?;
        check_positive(&[("clip_qkv", published.clip_qkv.unwrap_or(1.0))])?;
        check_weight("router_aux_loss_coef", published.router_aux_loss_coef)?;
        Ok(published)
    }
}
