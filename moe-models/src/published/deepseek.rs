//! The published configurations of DeepSeekMoE (Dai et al. 2024, arXiv 2401.06066), DeepSeek-V2
//! (arXiv 2405.04434) and DeepSeek-V3 (arXiv 2412.19437): `model_type` "deepseek", "deepseek_v2" and
//! "deepseek_v3".
//!
//! Of V2, `norm_topk_prob`, `scoring_func` and `moe_layer_freq` are not read, and of V3
//! `scoring_func`, `topk_method` and `moe_layer_freq`, as the reference implementation does not read
//! them; the published values are those that it assumes.

use super::common::{Common, CommonFields};
use super::error::{Refusal, check_positive, check_sizes};
use serde::{Deserialize, Serialize};

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
    moe_intermediate_size: usize,
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
}

/// A DeepSeek model as published.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct PublishedDeepSeek {
    /// The generation.
    pub generation: DeepSeekGeneration,
    /// What all decoders have.
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
    /// Whether the weights of a token are divided by their sum.
    pub norm_topk_prob: bool,
    /// What the weights are multiplied by at last. 1 in V1.
    pub routed_scaling_factor: f64,
    /// The number of groups that the experts form, if the choice is limited to some of them.
    pub n_group: usize,
    /// The number of groups that a token may use.
    pub topk_group: usize,
    /// The weight of the balance loss in training.
    pub aux_loss_alpha: f64,
    /// Whether the balance loss is taken of each sequence rather than of the batch.
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
    /// Whether rotary pairs are neighbours rather than halves.
    pub rope_interleave: bool,
}

impl DeepSeekFields {
    pub(super) fn resolve(
        self,
        generation: DeepSeekGeneration,
    ) -> Result<PublishedDeepSeek, Refusal> {
        let latent = match generation {
            DeepSeekGeneration::V1 => None,
            _ => Some(self.latent()?),
        };
        let common = self.common.resolve(1e-6)?;
        if let (DeepSeekGeneration::V1, Some(yarn)) = (generation, common.rope.yarn) {
            let rule = "DeepSeekMoE's rotary positions are of the default kind";
            return Err(Refusal::new("rope_scaling.factor", yarn.factor, rule));
        }
        if let (DeepSeekGeneration::V1, Some(score)) = (generation, &self.scoring_func)
            && score != "softmax"
        {
            let rule = "DeepSeekMoE scores with softmax";
            return Err(Refusal::new("scoring_func", score, rule));
        }
        let n_routed_experts = self.n_routed_experts.ok_or_else(|| {
            Refusal::new(
                "n_routed_experts",
                "null",
                "a model without experts is not supported",
            )
        })?;
        let is_grouped = match (generation, self.topk_method.as_deref()) {
            (DeepSeekGeneration::V1, _) => false,
            (DeepSeekGeneration::V3, _) => true,
            (DeepSeekGeneration::V2, Some("group_limited_greedy")) => true,
            (DeepSeekGeneration::V2, Some("greedy") | None) => false,
            (DeepSeekGeneration::V2, Some(other)) => {
                let rule = "it must be greedy or group_limited_greedy";
                return Err(Refusal::new("topk_method", other, rule));
            }
        };
        let is_v1 = generation == DeepSeekGeneration::V1;
        let published = PublishedDeepSeek {
            generation,
            moe_intermediate_size: self.moe_intermediate_size,
            n_routed_experts,
            n_shared_experts: self.n_shared_experts.unwrap_or(0),
            num_experts_per_tok: self.num_experts_per_tok.unwrap_or(1),
            first_k_dense_replace: self.first_k_dense_replace.unwrap_or(0),
            moe_layer_freq: if is_v1 {
                self.moe_layer_freq.unwrap_or(1)
            } else {
                1
            },
            norm_topk_prob: match generation {
                DeepSeekGeneration::V1 => self.norm_topk_prob.unwrap_or(false),
                DeepSeekGeneration::V2 => false,
                DeepSeekGeneration::V3 => self.norm_topk_prob.unwrap_or(true),
            },
            routed_scaling_factor: match generation {
                DeepSeekGeneration::V1 => 1.0,
                _ => self.routed_scaling_factor.unwrap_or(1.0),
            },
            n_group: self.n_group.filter(|_| is_grouped).unwrap_or(1),
            topk_group: self.topk_group.filter(|_| is_grouped).unwrap_or(1),
            aux_loss_alpha: self.aux_loss_alpha.unwrap_or(0.001),
            seq_aux: self.seq_aux.unwrap_or(true),
            latent,
            num_nextn_predict_layers: self.num_nextn_predict_layers.unwrap_or(0),
            common,
        };
        published.check()?;
        Ok(published)
    }

    fn latent(&self) -> Result<PublishedLatent, Refusal> {
        let needed = |key, size: Option<usize>| {
            size.ok_or_else(|| Refusal::new(key, "missing", "latent attention needs it"))
        };
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
    /// Whether layer `layer` is a mixture of experts.
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
        check_positive(&[("routed_scaling_factor", self.routed_scaling_factor)])
    }
}
