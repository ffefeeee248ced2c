//! A number of each run over training tokens, with its mean and range over seeds.

use super::{Merit, Run};
use crate::stats::mean;
use moe_train::run::LayerMetrics;
use serde::Serialize;
use std::collections::BTreeMap;

/// More logged steps than this are averaged in groups of neighbours.
pub const MOST_POINTS: usize = 150;

/// The numbers that curves show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveKind {
    /// The training loss, nats a token, without balance losses.
    TrainLoss,
    /// The same of text in bits a byte, by the bytes that a token of the validation text has.
    TrainBits,
    /// The figure of merit of each evaluation.
    Merit,
    /// The share of dropped assignments, mean over layers.
    DropRate,
    /// Experts without any token, mean over layers.
    DeadExperts,
    /// The largest load over the mean, minus 1: mean over layers.
    MaxVio,
}

/// A number over training tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// The number it shows.
    pub kind: CurveKind,
    /// The number of neighbouring logged steps that are averaged in a point.
    pub averaged: usize,
    /// The points, by tokens.
    pub points: Vec<BandPoint>,
}

/// The values of all seeds that have come so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BandPoint {
    /// Training tokens.
    pub tokens: u64,
    /// The number of seeds.
    pub n_runs: usize,
    /// The smallest value.
    pub low: f64,
    /// The mean.
    pub mean: f64,
    /// The largest value.
    pub high: f64,
}

impl CurveKind {
    /// All kinds, in the order of a report.
    pub const ALL: [Self; 6] = [
        Self::TrainLoss,
        Self::TrainBits,
        Self::Merit,
        Self::DropRate,
        Self::DeadExperts,
        Self::MaxVio,
    ];

    /// The value at each step that a run logged.
    fn values(self, run: &Run, merit: &Merit) -> Vec<(u64, f64)> {
        let of_layers = |metric: fn(&LayerMetrics) -> f64| {
            let steps = run
                .lines
                .steps
                .iter()
                .filter(|line| !line.layers.is_empty());
            let mean_of =
                |layers: &[LayerMetrics]| mean(&layers.iter().map(metric).collect::<Vec<_>>());
            steps
                .map(|line| (line.step, mean_of(&line.layers)))
                .collect()
        };
        match self {
            Self::TrainLoss => {
                let steps = run.lines.steps.iter();
                steps.map(|line| (line.step, line.lm_loss)).collect()
            }
            Self::TrainBits => {
                let Some(bits_per_nat) = run.lines.bits_per_nat() else {
                    return Vec::new();
                };
                let steps = run.lines.steps.iter();
                steps
                    .map(|line| (line.step, bits_per_nat * line.lm_loss))
                    .collect()
            }
            Self::Merit => {
                let evals = run.lines.evals.iter();
                evals.map(|line| (line.step, merit.of(line))).collect()
            }
            Self::DropRate => of_layers(|layer| layer.drop_rate),
            Self::DeadExperts => of_layers(|layer| layer.dead_experts as f64),
            Self::MaxVio => of_layers(|layer| layer.max_vio),
        }
    }
}

impl Curve {
    /// The curve of runs that differ in their seed alone.
    pub fn of(kind: CurveKind, runs: &[Run], merit: &Merit) -> Self {
        let tokens_per_step = runs.first().map_or(0, |run| run.config.tokens_per_step());
        let runs: Vec<BTreeMap<u64, f64>> = runs
            .iter()
            .map(|run| kind.values(run, merit).into_iter().collect())
            .collect();
        Self::over(kind, &runs, tokens_per_step)
    }

    /// Steps that any run logged, in groups of neighbours; in each group the mean of each run.
    fn over(kind: CurveKind, runs: &[BTreeMap<u64, f64>], tokens_per_step: u64) -> Self {
        let mut steps: Vec<u64> = runs.iter().flat_map(|run| run.keys().copied()).collect();
        steps.sort_unstable();
        steps.dedup();
        let averaged = steps.len().div_ceil(MOST_POINTS).max(1);
        let point = |group: &[u64]| {
            let of_run = |run: &BTreeMap<u64, f64>| {
                let values: Vec<f64> = group
                    .iter()
                    .filter_map(|step| run.get(step).copied())
                    .collect();
                (!values.is_empty()).then(|| mean(&values))
            };
            let values: Vec<f64> = runs.iter().filter_map(of_run).collect();
            BandPoint {
                tokens: group[group.len() / 2] * tokens_per_step,
                n_runs: values.len(),
                low: values.iter().copied().fold(f64::INFINITY, f64::min),
                mean: mean(&values),
                high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            }
        };
        Self {
            kind,
            averaged,
            points: steps.chunks(averaged).map(point).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_the_seeds_that_have_come_so_far() {
        let runs = [
            BTreeMap::from([(5, 4.0), (10, 2.0)]),
            BTreeMap::from([(5, 6.0)]),
        ];
        let curve = Curve::over(CurveKind::TrainLoss, &runs, 100);
        let first = BandPoint {
            tokens: 500,
            n_runs: 2,
            low: 4.0,
            mean: 5.0,
            high: 6.0,
        };
        assert_eq!(curve.points[0], first);
        assert_eq!((curve.points[1].n_runs, curve.points[1].mean), (1, 2.0));
        assert_eq!(curve.averaged, 1);
    }

    #[test]
    fn many_steps_are_averaged_in_groups() {
        // 301 steps make groups of 3: the first holds 0, 1, 2 with the mean 1 at step 1
        let run: BTreeMap<u64, f64> = (0..301).map(|step| (step, step as f64)).collect();
        let curve = Curve::over(CurveKind::TrainLoss, &[run], 10);
        assert_eq!((curve.averaged, curve.points.len()), (3, 101));
        assert_eq!((curve.points[0].tokens, curve.points[0].mean), (10, 1.0));
        assert_eq!(curve.points[100].mean, 300.0);
    }

    #[test]
    fn no_line_makes_no_point() {
        assert!(
            Curve::over(CurveKind::Merit, &[BTreeMap::new()], 10)
                .points
                .is_empty()
        );
    }
}
