//! The tuning of an ablation as text.

use crate::significant;
use crate::{Align, columns_within};
use moe_lab::ablate::{TuneReport, TunedArm};
use moe_train::task::Merit;

/// The score of each arm at each value, and the value that was chosen.
pub(super) fn tuning_text(report: &TuneReport, merit: Merit, width: Option<usize>) -> String {
    let seeds: Vec<String> = report.seeds.iter().map(u64::to_string).collect();
    let mut header = vec!["tuned arm".to_owned()];
    header.extend(
        report
            .values
            .iter()
            .map(|value| format!("{} {value}", report.key)),
    );
    header.push("chosen".to_owned());
    let row = |arm: &TunedArm| {
        let mut cells = vec![arm.label.clone()];
        let score = |score: &Option<f64>| match score {
            Some(score) => significant(merit.scale() * score, 4),
            None => "diverged".to_owned(),
        };
        cells.extend(arm.scores.iter().map(score));
        let mark = if arm.at_edge { " §" } else { "" };
        cells.push(format!("{}{mark}", report.values[arm.chosen]));
        cells
    };
    let mut rows = vec![header];
    rows.extend(report.arms.iter().map(row));
    let align = |i: usize| if i == 0 { Align::Left } else { Align::Right };
    let align: Vec<Align> = (0..rows[0].len()).map(align).collect();
    let mut text = format!(
        "Each arm at its own best {}: mean {} ({}) over the seeds {}, which decide nothing.\n\n{}",
        report.key,
        merit.quantity(),
        merit.unit(),
        seeds.join(", "),
        columns_within(&rows, &align, width)
    );
    for group in &report.alike {
        text.push_str(&format!(
            "\n\nChosen together, since they are one model by different means: {}.",
            group.join("; ")
        ));
    }
    if report.arms.iter().any(|arm| arm.at_edge) {
        text.push_str("\n\n§: at the edge of the list; a better value may lie outside.");
    }
    text
}
