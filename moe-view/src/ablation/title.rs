//! The lines above the table of an ablation: arms, seeds, score, and the keys in which the arms differ.

use super::given::seeds_text;
use crate::counted;
use moe_lab::ablate::{AblationReport, Difference};
use moe_lab::stats::Goal;

/// The arms, the seeds, the score and the keys in which the arms differ.
pub(super) fn title(report: &AblationReport) -> String {
    let better = match report.goal {
        Goal::Lower => "lower",
        Goal::Higher => "higher",
    };
    let arms = counted(report.arms.len(), "arm");
    let seeds = seeds_text(report);
    if report.given.is_some() {
        return format!(
            "{arms}, {seeds}; {better} {} is better.\nBaseline {}.",
            report.metric, report.baseline
        );
    }
    let mut title = format!(
        "{arms}, {seeds}; {} is {}, {better} is better.",
        report.quantity(),
        report.metric
    );
    if let Some(run) = report.arms.first().and_then(|arm| arm.seeds.first()) {
        title.push_str(&format!(
            "\nBaseline {}: {} steps, {} tokens, {} active parameters.",
            report.baseline, run.steps, run.tokens, run.params_active
        ));
    }
    if let Some(differences) = differences_text(&report.differences) {
        title.push_str(&format!("\n{differences}"));
    }
    title
}

/// The most arms whose values are all written out.
const MOST_VALUES: usize = 6;

/// The keys in which arms differ with their values, in a line; `None` if they differ in nothing.
pub fn differences_text(differences: &[Difference]) -> Option<String> {
    let words = |difference: &Difference| {
        let values: Vec<&str> = difference
            .values
            .iter()
            .map(|value| value.as_deref().unwrap_or("-"))
            .collect();
        if values.len() <= MOST_VALUES {
            return format!("{} {}", difference.key, values.join("/"));
        }
        let mut distinct = values;
        distinct.sort_unstable();
        distinct.dedup();
        format!("{} ({})", difference.key, counted(distinct.len(), "value"))
    };
    let words: Vec<String> = differences.iter().map(words).collect();
    (!words.is_empty()).then(|| format!("Arms differ in: {}.", words.join(", ")))
}
