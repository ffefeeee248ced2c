//! The numbers of a micro-batch, and their sums over those of a step.

use super::metrics::{LayerMeter, add_meters, add_routings};
use crate::config::RunConfig;
use crate::task::TaskOutput;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The share of a micro-batch in its step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Of the predictions.
    pub(super) targets: f64,
    /// Of the micro-batches.
    pub(super) batch: f64,
}

/// Sums over micro-batches of a step, each by its share.
#[derive(Serialize, Deserialize, Debug, Default)]
pub(super) struct StepSums {
    pub(super) loss: f64,
    pub(super) lm_loss: f64,
    pub(super) mtp_loss: Option<f64>,
    pub(super) accuracy: Option<f64>,
    pub(super) balance: BTreeMap<String, f64>,
    pub(super) meters: Vec<LayerMeter>,
}

impl StepSums {
    /// The numbers of a micro-batch, and its part of the step's loss: the task's own, plus the weighted loss of
    /// further tokens, plus the weighted balance losses, each averaged over the layers.
    pub(super) fn of(output: TaskOutput, share: Share, config: &RunConfig) -> (Tensor<1>, Self) {
        let mut sums = Self {
            lm_loss: scalar(&output.loss) * share.targets,
            accuracy: output.accuracy.map(|accuracy| accuracy * share.targets),
            ..Self::default()
        };
        let mut loss = output.loss * share.targets;
        if let Some(further) = output.further {
            sums.mtp_loss = Some(scalar(&further) * share.targets);
            loss = loss + further * (config.model.mtp_weight() * share.targets);
        }
        let n_layers = output.routings.len() as f64;
        for routing in &output.routings {
            for term in config.balance.terms(routing) {
                *sums.balance.entry(term.name.to_owned()).or_default() +=
                    scalar(&term.value) / n_layers * share.batch;
                loss = loss + term.value * (term.weight / n_layers * share.batch);
            }
        }
        sums.loss = scalar(&loss);
        add_routings(&mut sums.meters, &output.routings);
        (loss, sums)
    }

    /// The sums with those of a later micro-batch.
    pub(super) fn plus(mut self, later: Self) -> Self {
        let both = |sum: Option<f64>, more: Option<f64>| match (sum, more) {
            (Some(sum), Some(more)) => Some(sum + more),
            (sum, more) => sum.or(more),
        };
        self.loss += later.loss;
        self.lm_loss += later.lm_loss;
        self.mtp_loss = both(self.mtp_loss, later.mtp_loss);
        self.accuracy = both(self.accuracy, later.accuracy);
        for (name, value) in later.balance {
            *self.balance.entry(name).or_default() += value;
        }
        add_meters(&mut self.meters, &later.meters);
        self
    }
}

fn scalar(x: &Tensor<1>) -> f64 {
    f64::from(x.clone().detach().into_scalar::<f32>())
}
