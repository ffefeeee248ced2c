//! Reports of a run.

use super::Measured;
use crate::task::Merit;
use moe_router::metrics::{dead_experts, drop_rate, load_entropy, max_vio};
use moe_router::{Load, Plan, Routing, metrics};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A line of `metrics.jsonl` about an optimizer step.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct StepMetrics {
    /// The step, from 1.
    pub step: u64,
    /// Training tokens up to and with this step.
    pub tokens: u64,
    /// The whole loss: the task's own plus weighted balance losses.
    pub loss: f64,
    /// The task's own loss: of a language model nats a token, of a classifier nats an image.
    pub lm_loss: f64,
    /// The loss of multi-token prediction, not weighted, if the model has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtp_loss: Option<f64>,
    /// The share of training images named right, of a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Each balance loss, mean over the layers, not weighted.
    pub balance: BTreeMap<String, f64>,
    /// The learning rate.
    pub lr: f64,
    /// The gradient's global norm before clipping.
    pub grad_norm: f64,
    /// The routing of each MoE layer.
    pub layers: Vec<LayerMetrics>,
    /// Training tokens a second: the one figure here that differs from run to run.
    pub tokens_per_s: f64,
}

/// The routing of a layer over a step or an evaluation.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct LayerMetrics {
    /// Each expert's share of the computed assignments.
    pub load_share: Vec<f64>,
    /// The entropy of those shares over that of a balanced load.
    pub load_entropy: f64,
    /// The mean entropy of a token's distribution over experts, over that of the uniform one.
    pub entropy: f64,
    /// The largest load over the mean, minus 1.
    pub max_vio: f64,
    /// The share of assignments that were dropped.
    pub drop_rate: f64,
    /// The number of experts that computed nothing.
    pub dead_experts: usize,
    /// Assignments that experts with a network computed, a token; none of a soft plan, whose slots are a
    /// fixed number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts_per_token: Option<f64>,
}

/// An evaluation.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct EvalMetrics {
    /// The step after which it was made.
    pub step: u64,
    /// The part of the data: `validation` or `test`.
    pub split: String,
    /// `true` if the whole part was scored, `false` if evenly spaced windows, images or pairs of it were.
    pub whole: bool,
    /// The windows, images or pairs that were scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_scored: Option<usize>,
    /// Windows, images or pairs of the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_part: Option<usize>,
    /// Bits per byte, of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_byte: Option<f64>,
    /// The share of images named right, of a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The share of gaps that were filled as they had been, or of translations that are the table's, of an
    /// encoder with a decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_match: Option<f64>,
    /// The BLEU of translations, from 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bleu: Option<f64>,
    /// Nats a token, or nats an image.
    pub loss: f64,
    /// The bytes that were scored, of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_bytes: Option<usize>,
    /// The images that were scored, of a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_images: Option<usize>,
    /// The tokens of targets that were scored, of an encoder with a decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_targets: Option<usize>,
    /// The same score of each domain of text or each class of images.
    pub domains: BTreeMap<String, f64>,
    /// The routing of each MoE layer.
    pub layers: Vec<LayerMetrics>,
}

impl EvalMetrics {
    /// Merit of the score.
    pub fn merit(&self) -> Merit {
        match (self.accuracy, self.exact_match) {
            (Some(_), _) => Merit::Accuracy,
            (None, Some(_)) => Merit::TargetLoss,
            (None, None) => Merit::BitsPerByte,
        }
    }

    /// The score, in which runs are compared; not a number if there is none.
    pub fn score(&self) -> f64 {
        match self.merit() {
            Merit::Accuracy => self.accuracy.unwrap_or(f64::NAN),
            Merit::BitsPerByte => self.bits_per_byte.unwrap_or(f64::NAN),
            Merit::TargetLoss => self.loss,
        }
    }
}

/// Results of a finished run. Holds no time: the same configuration gives the same summary.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Summary {
    /// The name of the question: the run folder's parent.
    pub run: String,
    /// The seed.
    pub seed: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// Training tokens; the patches of images are tokens.
    pub tokens: u64,
    /// All parameters.
    pub params_total: usize,
    /// The parameters that a token passes through.
    pub params_active: usize,
    /// `true` if no later token influences an earlier one; if not, the loss is not that of a language
    /// model. Also `true` of a model that is not asked to be causal, such as an encoder of images.
    pub causal: bool,
    /// `true` if the same holds while training; if not, `lm_loss` flatters the model.
    #[serde(default)]
    pub causal_in_training: bool,
    /// Cost of a token, averaged over training; `None` for a soft router, and for a run by a version that
    /// did not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// The training loss of the last step, nats a token or an image.
    pub lm_loss: f64,
    /// The last evaluation: of the whole validation part, or of the windows that `train.final_eval_windows`
    /// allows.
    pub validation: EvalMetrics,
}

/// The load and the entropy of a layer, summed over batches.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub struct LayerMeter {
    pub(super) load: Load,
    /// Assignments that experts with a network computed; not a number of a soft plan.
    computed: f64,
    /// Mean entropies of batches, each times its tokens: batches may have different numbers of them.
    entropy_sum: f64,
}

impl LayerMeter {
    /// Adds the routing of a batch.
    pub fn add(&mut self, routing: &Routing) {
        let load = routing.load();
        self.computed += computed(routing, &load);
        self.entropy_sum += metrics::entropy(routing) * load.n_tokens;
        self.load = std::mem::take(&mut self.load).merge(&load);
    }

    /// Adds what another has summed.
    pub(super) fn merge(&mut self, other: &Self) {
        self.computed += other.computed;
        self.entropy_sum += other.entropy_sum;
        self.load = std::mem::take(&mut self.load).merge(&other.load);
    }

    /// The metrics of all batches that were added.
    pub fn metrics(&self) -> LayerMetrics {
        LayerMetrics {
            load_share: self.load.share(),
            load_entropy: load_entropy(&self.load),
            entropy: self.entropy_sum / self.load.n_tokens.max(1.0),
            max_vio: max_vio(&self.load),
            drop_rate: drop_rate(&self.load),
            dead_experts: dead_experts(&self.load),
            // JSON has no NaN, which this is for a soft plan and without tokens
            experts_per_token: Some(self.computed / self.load.n_tokens).filter(|k| k.is_finite()),
        }
    }
}

/// The assignments that experts with a network compute: without the dropped ones and the zero-computation
/// experts.
fn computed(routing: &Routing, load: &Load) -> f64 {
    let n_free = routing.bypass.as_ref().map_or(0, |bypass| bypass.n_free);
    match routing.plan {
        Plan::Sparse(_) => load.kept[..load.kept.len() - n_free].iter().sum(),
        Plan::Soft(_) => f64::NAN,
    }
}

/// Adds the meters of a batch to one meter a layer.
pub(super) fn add_meters(meters: &mut Vec<LayerMeter>, of_batch: &[LayerMeter]) {
    meters.resize_with(of_batch.len(), LayerMeter::default);
    for (meter, more) in meters.iter_mut().zip(of_batch) {
        meter.merge(more);
    }
}

/// Adds the routings of a batch to one meter a layer.
pub(super) fn add_routings(meters: &mut Vec<LayerMeter>, routings: &[Routing]) {
    meters.resize_with(routings.len(), LayerMeter::default);
    for (meter, routing) in meters.iter_mut().zip(routings) {
        meter.add(routing);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_summary_of_an_earlier_version_is_read() {
        let layer = r#"{"load_share": [1.0], "load_entropy": 1.0, "entropy": 1.0, "max_vio": 0.0,
            "drop_rate": 0.0, "dead_experts": 0}"#;
        let text = format!(
            r#"{{"run": "r", "seed": 0, "steps": 1, "tokens": 2, "params_total": 3, "params_active": 3,
            "causal": true, "lm_loss": 1.0, "validation": {{"step": 1, "split": "validation", "whole": true,
            "bits_per_byte": 1.0, "loss": 1.0, "n_bytes": 1, "domains": {{}}, "layers": [{layer}]}}}}"#
        );
        let summary: Summary = serde_json::from_str(&text).unwrap();
        assert_eq!(summary.measured, None);
        assert_eq!(summary.validation.layers[0].experts_per_token, None);
    }
}
