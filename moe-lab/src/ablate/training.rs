//! The end of a training, summed up from the lines that a run logged.

use super::outcome::nullable;
use crate::MetricLines;
use crate::stats::mean;
use moe_train::run::{LayerMetrics, StepMetrics};
use serde::{Deserialize, Serialize};

/// Means over the logged steps of the last fifth of a training. They are of training batches, with the routers'
/// noise and buffers of training: what a router does there may differ from what it does in evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The task's own loss, in the unit of the validation loss.
    #[serde(with = "nullable")]
    pub loss: f64,
    /// Largest load over mean load, minus one; 0 without layers with experts.
    #[serde(with = "nullable")]
    pub max_vio: f64,
    /// Computed assignments a token; none of soft plans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts_per_token: Option<f64>,
}

impl Training {
    /// Sums up the lines of a run of so many steps; nothing if none of its last fifth was logged.
    pub fn of(lines: &MetricLines, steps: u64) -> Option<Self> {
        let is_late = |line: &&StepMetrics| line.step > steps - steps / 5;
        let late: Vec<&StepMetrics> = lines.steps.iter().filter(is_late).collect();
        let unit = lines.bits_per_nat().unwrap_or(1.0);
        let losses: Vec<f64> = late.iter().map(|line| unit * line.lm_loss).collect();
        let layers = || late.iter().flat_map(|line| &line.layers);
        let n_layers = layers().count().max(1) as f64;
        let experts = |layer: &LayerMetrics| layer.experts_per_token;
        let experts: Option<Vec<f64>> = layers().map(experts).collect();
        (!late.is_empty()).then(|| Self {
            loss: mean(&losses),
            max_vio: layers().map(|layer| layer.max_vio).sum::<f64>() / n_layers,
            experts_per_token: experts.filter(|all| !all.is_empty()).map(|all| mean(&all)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lines() -> MetricLines {
        let layer = |max_vio: f64, experts: f64| {
            format!(
                r#"{{"load_share": [1.0], "load_entropy": 1.0, "entropy": 1.0, "max_vio": {max_vio}, "drop_rate": 0.0, "dead_experts": 0, "experts_per_token": {experts}}}"#
            )
        };
        let step = |step: u64, loss: f64, max_vio: f64| {
            let layers = [layer(max_vio, 1.0), layer(max_vio + 1.0, 3.0)].join(", ");
            format!(
                r#"{{"kind": "train", "step": {step}, "tokens": 1, "loss": 9.0, "lm_loss": {loss}, "balance": {{}}, "lr": 1.0, "grad_norm": 1.0, "layers": [{layers}], "tokens_per_s": 1.0}}"#
            )
        };
        let eval = r#"{"kind": "eval", "step": 10, "split": "validation", "whole": true, "bits_per_byte": 3.0, "loss": 2.0, "n_bytes": 1, "domains": {}, "layers": []}"#;
        let text = [
            step(8, 9.0, 9.0),
            step(9, 2.0, 0.0),
            step(10, 4.0, 1.0),
            eval.into(),
        ];
        MetricLines::parse(&text.join("\n"))
    }

    #[test]
    fn the_last_fifth_is_averaged() {
        let lines = lines();
        assert_eq!(lines.unread, 0);
        let training = Training::of(&lines, 10).unwrap();
        // steps 9 and 10 of 10: nats 2 and 4 at 3 / 2 bits a nat
        assert_eq!(training.loss, 4.5);
        // (0 + 1 + 1 + 2) / 4
        assert_eq!(training.max_vio, 1.0);
        assert_eq!(training.experts_per_token, Some(2.0));
    }

    #[test]
    fn a_dense_model_has_no_load() {
        let mut lines = lines();
        for step in &mut lines.steps {
            step.layers.clear();
        }
        let training = Training::of(&lines, 10).unwrap();
        assert_eq!((training.loss, training.max_vio), (4.5, 0.0));
        assert_eq!(training.experts_per_token, None);
    }

    #[test]
    fn nothing_logged_is_nothing() {
        assert_eq!(Training::of(&lines(), 1000), None);
        assert_eq!(Training::of(&MetricLines::default(), 10), None);
    }
}
