//! The cells of the table of an ablation.

use super::figures::{plus_minus, signed};
use crate::significant;
use moe_lab::ablate::{AblationReport, ArmReport};
use moe_lab::stats::Comparison;

/// The header of the whole table.
pub(super) fn header(report: &AblationReport) -> Vec<String> {
    let interval = format!("{} % interval", percent(report.compare.bootstrap.level));
    [
        "arm",
        &score_title(report),
        "difference",
        &interval,
        "p",
        "p Holm",
        "tokens/s",
        "MaxVio",
        "entropy",
        "dropped (%)",
        "dead experts",
        "verdict",
    ]
    .map(String::from)
    .to_vec()
}

/// The score with its unit, where that is known.
pub(super) fn score_title(report: &AblationReport) -> String {
    let quantity = report.quantity();
    match report.unit() {
        Some(unit) => format!("{quantity} ({unit})"),
        None => quantity.to_owned(),
    }
}

/// Adds the last column but one.
pub(super) fn insert(
    rows: &mut [Vec<String>],
    arms: &[ArmReport],
    header: &str,
    cell: impl Fn(&ArmReport) -> String,
) {
    let cells = [header.to_owned()].into_iter().chain(arms.iter().map(cell));
    for (row, cell) in rows.iter_mut().zip(cells) {
        row.insert(row.len() - 1, cell);
    }
}

/// The cells of an arm.
pub(super) fn row(arm: &ArmReport) -> Vec<String> {
    let mark = match (arm.causal, arm.causal_in_training) {
        (false, _) => " †",
        (true, false) => " ‡",
        (true, true) => "",
    };
    let (score, scale) = (arm.score(), arm.merit().scale());
    let mut cells = vec![
        format!("{}{mark}", arm.label),
        plus_minus(scale * score.mean, score.std.map(|std| scale * std)),
    ];
    cells.extend(comparison_cells(arm.comparison.as_ref(), scale));
    cells.push(plus_minus(arm.tokens_per_s.mean, arm.tokens_per_s.std));
    cells.extend(
        [
            arm.max_vio.mean,
            arm.entropy.mean,
            100.0 * arm.drop_rate.mean,
            arm.dead_experts.mean,
        ]
        .map(|x| significant(x, 3)),
    );
    cells.push(match &arm.verdict {
        None => "baseline".into(),
        Some(verdict) => verdict.words(|x| significant(scale * x, 2)),
    });
    cells
}

fn comparison_cells(comparison: Option<&Comparison>, scale: f64) -> [String; 4] {
    let Some(comparison) = comparison else {
        return ["-", "-", "-", "-"].map(String::from);
    };
    let p = |p: Option<f64>| p.map_or("-".into(), |p| significant(p, 3));
    [
        signed(scale * comparison.mean_difference),
        comparison.interval.map_or("-".into(), |interval| {
            let [low, high] = [interval.low, interval.high].map(|end| signed(scale * end));
            format!("[{low}, {high}]")
        }),
        p(comparison.p),
        p(comparison.p_holm),
    ]
}

fn percent(share: f64) -> f64 {
    (share * 1e5).round() / 1e3
}
