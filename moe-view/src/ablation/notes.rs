//! The notes below the table of an ablation.

use super::given::{difference_note, given_notes, spread_of, test_note};
use super::over_ranks;
use crate::counted;
use crate::significant;
use moe_lab::ablate::{AblationReport, ArmReport, Scaling};
use moe_lab::stats::Verdict;

/// The meaning of the table's columns and marks, and the assumptions of its tests.
pub(super) fn footnotes(report: &AblationReport) -> Vec<String> {
    let mut notes = match &report.given {
        Some(_) => vec!["±: standard deviation over seeds (n - 1).".to_owned()],
        None => own_notes(),
    };
    if report.arms.iter().any(|arm| arm.comparison.is_some()) {
        notes.push(difference_note(report));
    }
    if report.arms.iter().any(|arm| arm.seeds.len() > 1) {
        notes.extend(match report.n_compared {
            0 => vec![format!(
                "smallest p that these seeds can reach: {}.",
                significant(report.smallest_p, 3)
            )],
            _ => test_notes(report),
        });
    }
    notes.extend(
        report
            .scaling
            .iter()
            .flat_map(|scaling| worth_notes(report, scaling)),
    );
    notes.extend(mark_notes(report));
    if let Some(given) = &report.given {
        notes.extend(given_notes(given));
        return notes;
    }
    notes.extend(devices_note(&report.devices));
    notes.extend(over_ranks::note(report).map(str::to_owned));
    notes.extend(measured_notes(report));
    notes
}

/// The meaning of the columns of runs of our own.
fn own_notes() -> Vec<String> {
    vec![
        "±: standard deviation over seeds (n - 1); columns without it are means over seeds.".into(),
        "MaxVio: largest expert load over mean load, minus 1; 0 is perfect balance. entropy: of the \
         experts' load over that of a balanced one; 1 is perfect balance."
            .into(),
    ]
}

/// The meaning of the marks that some arms have.
fn mark_notes(report: &AblationReport) -> Vec<String> {
    let any = |has: fn(&ArmReport) -> bool| report.arms.iter().any(has);
    let mut notes = Vec::new();
    if any(|arm| !arm.comparable) {
        notes.push(
            "not comparable: the budget or the outcome rules out a fair comparison, so no test is \
             made."
                .to_owned(),
        );
    }
    if any(|arm| !arm.causal) {
        notes.push(
            "†: not causal; later tokens influence the routing of earlier ones, so generation \
             cannot reach this loss."
                .to_owned(),
        );
    }
    if any(|arm| arm.causal && !arm.causal_in_training) {
        notes.push(
            "‡: causal in evaluation alone; while training the routing looks at later tokens, which flatters \
             the training loss and not the loss shown here."
                .to_owned(),
        );
    }
    notes
}

/// The devices of the runs, where they are not all alike.
fn devices_note(devices: &[String]) -> Option<String> {
    (devices.len() > 1).then(|| {
        format!(
            "the runs were made on different devices ({}), on which even equal runs differ in the last digits.",
            devices.join("; ")
        )
    })
}

/// The measured costs of the arms; what training cost is the same in every evaluation.
fn measured_notes(report: &AblationReport) -> impl Iterator<Item = String> {
    let first = report.arms.first().map(|arm| &arm.evaluation);
    let of_first = move |arm: &&ArmReport| Some(&arm.evaluation) == first;
    report
        .arms
        .iter()
        .filter(of_first)
        .filter_map(measured_note)
}

/// The measured cost of an arm's tokens, where its configuration says something else.
fn measured_note(arm: &ArmReport) -> Option<String> {
    let (cost, run) = (arm.measured?, arm.seeds.first()?);
    Some(format!(
        "experts/token of {}: computed assignments, mean over training and layers; {} active parameters and {} \
         FLOP a token by them, {} active parameters by the configuration.",
        arm.label, cost.params_active, cost.flops_per_token, run.params_active
    ))
}

fn test_notes(report: &AblationReport) -> Vec<String> {
    let alpha = report.alpha;
    let arms = counted(report.n_compared, "compared arm");
    let mut notes = vec![
        format!(
            "p: {}; p Holm: corrected for {arms} by Holm's method.",
            test_note(report)
        ),
        format!(
            "smallest reachable p: {}, after Holm's correction {}.",
            significant(report.smallest_p, 3),
            significant(report.smallest_p_holm, 3)
        ),
        format!(
            "verdict: better or worse where p Holm <= {alpha} and the interval does not contain 0."
        ),
    ];
    if let Some(margin) = report.compare.margin {
        let margin = significant(report.merit.scale() * margin, 2);
        notes.push(format!(
            "equal within {margin}: two one-sided t tests against plus and minus the margin, each with p <= {alpha} after \
             Holm's correction."
        ));
    }
    notes.extend(visible_note(report));
    let needed = |arm: &ArmReport| match arm.verdict {
        Some(Verdict::Undecided { seeds }) => seeds,
        _ => None,
    };
    if let Some(needed) = report.arms.iter().filter_map(needed).max() {
        let flag = match report.given {
            Some(_) => String::new(),
            None => format!(" (-s {needed})"),
        };
        notes.push(format!(
            "To reach {alpha} with {arms}, run at least {needed} seeds{flag}."
        ));
    }
    notes
}

/// What each arm is worth in compute of the baseline.
fn worth_notes(report: &AblationReport, scaling: &Scaling) -> Vec<String> {
    let budgets: Vec<String> = scaling.budgets.iter().map(f64::to_string).collect();
    let mut notes = vec![format!(
        "worth: the multiple of its steps at which the baseline has the arm's loss, read off between {} times its steps; \
         interval: Student's t. By time: at the speeds measured here.",
        budgets.join(", ")
    )];
    let baseline = &report.arms[0];
    for (arm, worth) in report.arms.iter().zip(&scaling.worth).skip(1) {
        let Some(worth) = worth else {
            notes.push(format!(
                "{}: worth less or more than the budgets that were tried, or the baseline's loss does not fall with them.",
                arm.label
            ));
            continue;
        };
        let interval = worth.interval.map_or(String::new(), |interval| {
            let ends = [interval.low, interval.high].map(|end| significant(end, 3));
            format!(" [{}, {}]", ends[0], ends[1])
        });
        let by_time = worth.factor * arm.tokens_per_s.mean / baseline.tokens_per_s.mean;
        notes.push(format!(
            "{}: worth {} times the compute{interval}; by time {}.",
            arm.label,
            significant(worth.factor, 3),
            significant(by_time, 3)
        ));
    }
    notes
}

/// What these seeds would have found.
fn visible_note(report: &AblationReport) -> Option<String> {
    let compared = report.arms.iter().filter_map(|arm| arm.comparison.as_ref());
    let visible: Vec<f64> = compared.filter_map(|c| c.visible).collect();
    let (least, most) = (
        visible.iter().copied().reduce(f64::min)?,
        visible.iter().copied().reduce(f64::max)?,
    );
    let [least, most] = [least, most].map(|d| significant(report.merit.scale() * d, 2));
    let range = if least == most {
        least
    } else {
        format!("{least} to {most}, by arm,")
    };
    Some(format!(
        "power: a true difference of {range} is found in 80 % of such studies, by the standard deviation of the {} seen here.",
        spread_of(report)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_devices_are_said_to_be() {
        let of = |devices: &[&str]| {
            let devices: Vec<String> = devices.iter().map(ToString::to_string).collect();
            devices_note(&devices)
        };
        assert_eq!(of(&[]), None);
        let note = of(&["cuda on linux", "flex on linux"]).expect("a note");
        assert!(note.contains("(cuda on linux; flex on linux)"), "{note}");
    }
}
