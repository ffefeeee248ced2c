//! The experts' shares of the load over time.

use super::Run;
use crate::stats::mean;
use moe_train::run::StepMetrics;
use serde::Serialize;

/// More logged steps than this are averaged in groups of neighbours.
pub const MOST_COLUMNS: usize = 60;

/// The experts' shares in a layer of a run over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadMap {
    /// The place among the layers with experts, from 0.
    pub layer: usize,
    /// The number of neighbouring logged steps that are averaged in a column.
    pub averaged: usize,
    /// The shares over time.
    pub columns: Vec<LoadColumn>,
}

/// The experts' shares at a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadColumn {
    /// Training tokens.
    pub tokens: u64,
    /// Each expert's share of what experts were asked for: `[E]`.
    pub share: Vec<f64>,
}

impl LoadMap {
    /// The map of each layer of a run; none if it has not logged a step.
    pub fn of(run: &Run) -> Vec<Self> {
        let steps = &run.lines.steps;
        let n_layers = steps.first().map_or(0, |line| line.layers.len());
        (0..n_layers)
            .map(|layer| Self::of_layer(steps, layer))
            .collect()
    }

    fn of_layer(steps: &[StepMetrics], layer: usize) -> Self {
        let averaged = steps.len().div_ceil(MOST_COLUMNS).max(1);
        let column = |group: &[StepMetrics]| {
            let n_experts = group[0].layers[layer].load_share.len();
            let share = |expert| {
                let of_step = |line: &StepMetrics| line.layers[layer].load_share[expert];
                mean(&group.iter().map(of_step).collect::<Vec<_>>())
            };
            LoadColumn {
                tokens: group[group.len() / 2].tokens,
                share: (0..n_experts).map(share).collect(),
            }
        };
        Self {
            layer,
            averaged,
            columns: steps.chunks(averaged).map(column).collect(),
        }
    }

    /// The number of experts.
    pub fn n_experts(&self) -> usize {
        self.columns.first().map_or(0, |column| column.share.len())
    }

    /// The shares at the end.
    pub fn last(&self) -> &[f64] {
        self.columns.last().map_or(&[], |column| &column.share)
    }
}
