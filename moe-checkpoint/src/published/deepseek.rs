//! The published configurations of DeepSeekMoE (Dai et al. 2024, arXiv 2401.06066), DeepSeek-V2
//! (arXiv 2405.04434) and DeepSeek-V3 (arXiv 2412.19437): `model_type` "deepseek", "deepseek_v2" and
//! "deepseek_v3".
//!
//! Fields that the reference implementation does not read must have the values that it assumes. Of V2
//! `norm_topk_prob` is among them: transformers passes over it, the code published with the model divides
//! by the sum and does not scale, and others do both, so `true` would be a guess.

use super::common::{Common, CommonFields};
use super::error::{Refusal, check_positive, check_sizes, check_weight, needed};
use super::rope::RopeFields;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::Display;

/// The generations of DeepSeek models.
#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum DeepSeekGeneration {
    /// DeepSeekMoE 16B: multi-head attention, softmax gate.
    V1,
    /// Latent attention, softmax gate, groups by their best expert.
    V2,
    /// Latent attention, sigmoid gate with a bias of the choice, groups by their two best experts.
    V3,
}

/// The fields as written.
#[derive(Deserialize, Debug)]
pub(super) struct DeepSeekFields {
    #[serde(flatten)]
    common: CommonFields,
    #[serde(flatten)]
    rope: RopeFields,
    moe_intermediate_size: Option<usize>,
    n_routed_experts: Option<usize>,
    n_shared_experts: Option<usize>,
    num_experts_per_tok: Option<usize>,
    first_k_dense_replace: Option<usize>,
    moe_layer_freq: Option<usize>,
    norm_topk_prob: Option<bool>,
    routed_scaling_factor: Option<f64>,
    topk_method: Option<String>,
    scoring_func: Option<String>,
    n_group: Option<usize>,
    topk_group: Option<usize>,
    aux_loss_alpha: Option<f64>,
    seq_aux: Option<bool>,
    q_lora_rank: Option<usize>,
    kv_lora_rank: Option<usize>,
    qk_nope_head_dim: Option<usize>,
    qk_rope_head_dim: Option<usize>,
    v_head_dim: Option<usize>,
    rope_interleave: Option<bool>,
    num_nextn_predict_layers: Option<usize>,
    #[serde(flatten)]
    left: Map<String, Value>,
}

impl DeepSeekGeneration {
    /// The `model_type` of the generation.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::V1 => "deepseek",
            Self::V2 => "deepseek_v2",
            Self::V3 => "deepseek_v3",
        }
    }
}

/// A DeepSeek model as published.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedDeepSeek {
    /// The generation.
    pub generation: DeepSeekGeneration,
    /// Fields that all decoders have.
    #[serde(flatten)]
    pub common: Common,
    /// The hidden width of an expert.
    pub moe_intermediate_size: usize,
    /// The number of experts that tokens are routed to.
    pub n_routed_experts: usize,
    /// The number of experts that every token passes through.
    pub n_shared_experts: usize,
    /// The number of experts a token.
    pub num_experts_per_tok: usize,
    /// The number of dense layers before the first mixture.
    pub first_k_dense_replace: usize,
    /// Of the layers after them, those whose index it divides are mixtures. 1 in V2 and V3.
    pub moe_layer_freq: usize,
    /// True if the weights of a token are divided by their sum.
    pub norm_topk_prob: bool,
    /// Factor of the weights at last. 1 in V1.
    pub routed_scaling_factor: f64,
    /// The number of groups that the experts form, if the choice is limited to some of them.
    pub n_group: usize,
    /// The number of groups that a token may use.
    pub topk_group: usize,
    /// The weight of the balance loss in training.
    pub aux_loss_alpha: f64,
    /// True if the balance loss is taken of each sequence rather than of the batch.
    pub seq_aux: bool,
    /// The sizes of latent attention; none in V1.
    pub latent: Option<PublishedLatent>,
    /// The number of modules that predict further tokens, after the last layer.
    pub num_nextn_predict_layers: usize,
}

/// The sizes of multi-head latent attention (arXiv 2405.04434, section 2.1).
#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedLatent {
    /// The rank of queries; none where they are projected at once.
    pub q_lora_rank: Option<usize>,
    /// The rank of keys and values.
    pub kv_lora_rank: usize,
    /// The width of a head's part without position.
    pub qk_nope_head_dim: usize,
    /// The width of a head's part with position.
    pub qk_rope_head_dim: usize,
    /// The width of a head's values.
    pub v_head_dim: usize,
    /// True if rotary pairs are neighbours rather than halves.
    pub rope_interleave: bool,
}

impl DeepSeekFields {
    pub(super) fn resolve(
        self,
        generation: DeepSeekGeneration,
    ) -> Result<PublishedDeepSeek, Refusal> {
        self.check_assumed(generation)?;
        let latent = match generation {
            DeepSeekGeneration::V1 => None,
            _ => Some(self.latent()?),
        };
        let published = PublishedDeepSeek {
            generation,
            moe_intermediate_size: needed("moe_intermediate_size", self.moe_intermediate_size)?,
            n_routed_experts: needed("n_routed_experts", self.n_routed_experts)?,
            n_shared_experts: self.n_shared_experts.unwrap_or(0),
            num_experts_per_tok: needed("num_experts_per_tok", self.num_experts_per_tok)?,
            first_k_dense_replace: needed("first_k_dense_replace", self.first_k_dense_replace)?,
            moe_layer_freq: self.moe_layer_freq.unwrap_or(1),
            norm_topk_prob: self.norm_topk_prob.unwrap_or(false),
            routed_scaling_factor: self.routed_scaling_factor.unwrap_or(1.0),
            n_group: self.n_group.unwrap_or(1),
            topk_group: self.topk_group.unwrap_or(1),
            aux_loss_alpha: self.aux_loss_alpha.unwrap_or(0.0),
            seq_aux: self.seq_aux.unwrap_or(true),
            latent,
            num_nextn_predict_layers: self.num_nextn_predict_layers.unwrap_or(0),
            common: self
                .common
                .resolve(generation.model_type(), &self.rope, &self.left)?,
        };
        published.check()?;
        Ok(published)
    }

    /// Refuses values other than those that the reference assumes without reading them.
    fn check_assumed(&self, generation: DeepSeekGeneration) -> Result<(), Refusal> {
        use DeepSeekGeneration::{V1, V2, V3};
        let (scores, methods): (_, &[&str]) = match generation {
            V1 => ("softmax", &["greedy"]),
            V2 => ("softmax", &["greedy", "group_limited_greedy"]),
            V3 => ("sigmoid", &["noaux_tc"]),
        };
        let method = self.topk_method.as_deref();
        let is_greedy =
            generation == V1 || (generation == V2 && method.unwrap_or("greedy") == "greedy");
        assumed("scoring_func", self.scoring_func.as_deref(), &[scores])?;
        assumed("topk_method", method, methods)?;
        for (key, groups) in [("n_group", self.n_group), ("topk_group", self.topk_group)] {
            if let Some(groups) = groups.filter(|n| is_greedy && *n != 1) {
                let rule = "of this family, with topk_method = greedy 1 is supported";
                return Err(Refusal::new(key, groups, rule));
            }
        }
        if generation == V1 {
            assumed("routed_scaling_factor", self.routed_scaling_factor, &[1.0])?;
        } else {
            assumed("moe_layer_freq", self.moe_layer_freq, &[1])?;
        }
        if generation == V2 {
            assumed("norm_topk_prob", self.norm_topk_prob, &[false])?;
        }
        if generation != V3 {
            assumed("rope_interleave", self.rope_interleave, &[generation == V2])?;
            assumed(
                "num_nextn_predict_layers",
                self.num_nextn_predict_layers,
                &[0],
            )?;
        }
        Ok(())
    }

    fn latent(&self) -> Result<PublishedLatent, Refusal> {
        let latent = PublishedLatent {
            q_lora_rank: self.q_lora_rank,
            kv_lora_rank: needed("kv_lora_rank", self.kv_lora_rank)?,
            qk_nope_head_dim: needed("qk_nope_head_dim", self.qk_nope_head_dim)?,
            qk_rope_head_dim: needed("qk_rope_head_dim", self.qk_rope_head_dim)?,
            v_head_dim: needed("v_head_dim", self.v_head_dim)?,
            rope_interleave: self.rope_interleave.unwrap_or(true),
        };
        check_sizes(&[
            ("q_lora_rank", latent.q_lora_rank.unwrap_or(1)),
            ("kv_lora_rank", latent.kv_lora_rank),
            ("qk_nope_head_dim", latent.qk_nope_head_dim),
            ("qk_rope_head_dim", latent.qk_rope_head_dim),
            ("v_head_dim", latent.v_head_dim),
        ])?;
        if !latent.qk_rope_head_dim.is_multiple_of(2) {
            let rule = "rotary positions turn pairs: it must be even";
            return Err(Refusal::new(
                "qk_rope_head_dim",
                latent.qk_rope_head_dim,
                rule,
            ));
        }
        Ok(latent)
    }
}

impl PublishedDeepSeek {
    /// Tells whether layer `layer` is a mixture of experts.
    pub fn is_mixture(&self, layer: usize) -> bool {
        layer >= self.first_k_dense_replace && layer.is_multiple_of(self.moe_layer_freq)
    }

    fn check(&self) -> Result<(), Refusal> {
        check_sizes(&[
            ("moe_intermediate_size", self.moe_intermediate_size),
            ("n_routed_experts", self.n_routed_experts),
            ("n_shared_experts", self.n_shared_experts.max(1)),
            ("num_experts_per_tok", self.num_experts_per_tok),
            ("moe_layer_freq", self.moe_layer_freq),
            ("n_group", self.n_group),
            ("topk_group", self.topk_group),
            (
                "num_nextn_predict_layers",
                self.num_nextn_predict_layers.max(1),
            ),
        ])?;
        check_positive(&[("routed_scaling_factor", self.routed_scaling_factor)])?;
        check_weight("aux_loss_alpha", self.aux_loss_alpha)?;
        let common = &self.common;
        match (&self.latent, common.rope.yarn) {
            (None, Some(yarn)) => {
                let rule = "DeepSeekMoE's rotary positions are of the default kind";
                Err(Refusal::new("rope_scaling.factor", yarn.factor, rule))
            }
            (Some(_), _) if common.num_key_value_heads != common.num_attention_heads => {
                let rule = "latent attention has keys and values for each of num_attention_heads";
                let heads = common.num_key_value_heads;
                Err(Refusal::new("num_key_value_heads", heads, rule))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that a field that is not read has one of the values that are assumed, or none.
fn assumed<T: PartialEq + Display>(
    key: &'static str,
    value: Option<T>,
    known: &[T],
) -> Result<(), Refusal> {
    match value.filter(|value| !known.contains(value)) {
        Some(value) => {
            let known: Vec<String> = known.iter().map(T::to_string).collect();
            let rule = format!("of this family {} is supported", known.join(" or "));
            Err(Refusal::new(key, value, rule))
        }
        None => Ok(()),
    }
}
