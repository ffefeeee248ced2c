//! `--power`: the number of seeds that would find a difference, by a pilot.

use moe_lab::ablate::{AblationReport, ArmReport};
use moe_lab::stats::seeds_to_find;
use moe_view::{Align, columns, duration, significant};
use serde::Serialize;

/// The seeds that a difference needs.
#[derive(Serialize, Debug)]
pub(super) struct Power {
    /// The difference, as a score.
    difference: f64,
    /// The seeds of the pilot.
    pilot: Vec<u64>,
    arms: Vec<ArmPower>,
}

/// The seeds that one arm needs.
#[derive(Serialize, Debug)]
struct ArmPower {
    label: String,
    /// The standard deviation of its paired differences.
    std: f64,
    /// The seeds with which 80 % of studies find the difference; none above 200.
    seeds: Option<usize>,
    /// Seconds that this arm and the baseline would train for in all.
    seconds: Option<f64>,
}

impl Power {
    /// Counts the seeds of each compared arm.
    pub(super) fn of(report: &AblationReport, difference: f64) -> Self {
        let arm = |arm: &ArmReport| {
            let std = arm
                .comparison
                .as_ref()
                .filter(|_| arm.comparable)?
                .std_difference?;
            let seeds = if std > 0.0 {
                seeds_to_find(difference / std, report.alpha, report.n_compared)
            } else {
                None
            };
            let pair = seconds(arm) + seconds(&report.arms[0]);
            Some(ArmPower {
                label: arm.label.clone(),
                std,
                seeds,
                seconds: seeds.map(|n| n as f64 * pair).filter(|s| s.is_finite()),
            })
        };
        Self {
            difference,
            pilot: report.seeds.clone(),
            arms: report.arms.iter().filter_map(arm).collect(),
        }
    }

    /// A table with a remark; scores times `scale` are in the table's unit.
    pub(super) fn text(&self, scale: f64) -> String {
        let header = ["arm", "sd of differences", "seeds", "training in all"];
        let mut rows = vec![header.map(String::from).to_vec()];
        rows.extend(self.arms.iter().map(|arm| {
            vec![
                arm.label.clone(),
                significant(scale * arm.std, 3),
                arm.seeds.map_or("more than 200".into(), |n| n.to_string()),
                arm.seconds.map_or("-".into(), duration),
            ]
        }));
        let align = [Align::Left, Align::Right, Align::Right, Align::Right];
        format!(
            "Seeds that find a difference of {} in 80 % of studies, by a pilot of {}:\n\n{}\n\n\
             The standard deviation of so few differences is itself uncertain; the runs of the pilot count.",
            significant(scale * self.difference, 3),
            self.pilot.len(),
            columns(&rows, &align)
        )
    }
}

/// The time of one run of an arm.
fn seconds(arm: &ArmReport) -> f64 {
    let runs = arm.seeds.iter();
    let total: f64 = runs.map(|run| run.tokens as f64 / run.tokens_per_s).sum();
    total / arm.seeds.len() as f64
}
