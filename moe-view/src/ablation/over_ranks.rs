//! The columns of an ablation whose experts were spread over ranks.

use crate::significant;
use moe_lab::ablate::{AblationReport, ArmReport, Metric};
use moe_lab::stats::mean;

const COLUMNS: [(&str, Metric); 3] = [
    ("ranks/token", Metric::FanOut),
    ("bytes/token", Metric::BytesToken),
    ("busiest rank", Metric::BusiestRank),
];

const NOTE: &str = "ranks/token: distinct ranks of a token's experts, which lie in consecutive blocks on the ranks of one node; \
                    bytes/token: sent by a token in a dispatch, a row a rank of two bytes an element; busiest rank: its load \
                    over the mean. Of the validation part, means over layers.";

fn is_counted(report: &AblationReport) -> bool {
    let mut runs = report.arms.iter().flat_map(|arm| &arm.seeds);
    runs.any(|run| run.over_ranks.is_some())
}

/// The columns with their metrics; none if nothing was counted.
pub(super) fn columns(report: &AblationReport) -> impl Iterator<Item = (&'static str, Metric)> {
    let is_counted = is_counted(report);
    COLUMNS.into_iter().filter(move |_| is_counted)
}

/// The meaning of the columns, if there are any.
pub(super) fn note(report: &AblationReport) -> Option<&'static str> {
    is_counted(report).then_some(NOTE)
}

/// The mean of a metric over an arm's seeds.
pub(super) fn mean_of(arm: &ArmReport, metric: Metric) -> String {
    let values: Vec<f64> = arm.seeds.iter().map(|run| metric.of(run)).collect();
    if values.iter().all(|x| x.is_finite()) {
        significant(mean(&values), 3)
    } else {
        "-".to_owned()
    }
}
