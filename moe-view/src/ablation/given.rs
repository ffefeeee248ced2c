//! Seeds, tests and limits of a table of another program, and the words for arms of other seeds.

use crate::counted;
use moe_lab::ablate::{AblationReport, ArmReport, Given, Pairing};
use moe_lab::stats::Unpaired;

/// The most seeds that are all named.
const MOST_NAMED: usize = 20;

/// The seeds of all arms by name, or how many there are.
pub(super) fn seeds_text(report: &AblationReport) -> String {
    let sizes = || report.arms.iter().map(|arm| arm.seeds.len());
    let least = sizes().min().unwrap_or(0);
    let most = sizes().max().unwrap_or(0);
    if is_paired(report) && report.seeds.len() <= MOST_NAMED || report.given.is_none() {
        let names: Vec<String> = report
            .seeds
            .iter()
            .map(|&seed| name(report, seed))
            .collect();
        let word = if names.len() == 1 { "seed" } else { "seeds" };
        return format!("{word} {}", names.join(", "));
    }
    if least == most {
        format!("{} an arm", counted(most, "seed"))
    } else {
        format!("{least} to {most} seeds an arm")
    }
}

/// Tells whether all arms have the same seeds, and are compared by them, though some comparisons may be ruled out.
fn is_paired(report: &AblationReport) -> bool {
    let is_same = |arm: &ArmReport| {
        let seeds = arm.seeds.iter().map(|run| run.seed);
        seeds.eq(report.seeds.iter().copied())
    };
    report.pairing != Pairing::Never && report.arms.iter().all(is_same)
}

/// The name of a seed.
fn name(report: &AblationReport, seed: u64) -> String {
    let names = report.given.as_ref().map(|given| &given.seed_names);
    let place = usize::try_from(seed).ok();
    let named = names.and_then(|names| names.get(place?));
    named.cloned().unwrap_or_else(|| seed.to_string())
}

/// The arms that were compared as independent samples, with these.
fn unpaired(report: &AblationReport) -> impl Iterator<Item = (&ArmReport, &Unpaired)> {
    let arms = report.arms.iter();
    arms.filter_map(|arm| Some((arm, arm.comparison.as_ref()?.unpaired.as_ref()?)))
}

/// Tells whether some arm was compared seed against same seed.
fn has_pairs(report: &AblationReport) -> bool {
    let mut comparisons = report.arms.iter().filter_map(|arm| arm.comparison.as_ref());
    comparisons.any(|comparison| comparison.unpaired.is_none())
}

/// The meaning of a difference and its interval.
pub(super) fn difference_note(report: &AblationReport) -> String {
    if report.arms.iter().all(|arm| arm.seeds.len() == 1) {
        return "difference: arm minus baseline; one seed gives no interval and no test.".into();
    }
    let baseline = if report.arms.iter().any(|arm| arm.evaluation.is_some()) {
        "the first arm of the same evaluation"
    } else {
        "baseline"
    };
    const PAIRED: &str = "seed against same seed; interval: Student's t of its mean, which takes the differences to be \
                          normal.";
    const SAMPLES: &str = "as independent samples; interval: Welch's t at the worst ratio of variances, which takes the scores to be \
         normal.";
    let labels: Vec<&str> = unpaired(report)
        .map(|(arm, _)| arm.label.as_str())
        .collect();
    if labels.is_empty() {
        return format!("difference: arm minus {baseline}, {PAIRED}");
    }
    if !has_pairs(report) {
        return format!("difference: arm minus {baseline}, {SAMPLES}");
    }
    format!(
        "difference: arm minus {baseline}, {PAIRED} Of {}, which {} other seeds, {SAMPLES}",
        labels.join(", "),
        if labels.len() == 1 { "has" } else { "have" }
    )
}

/// The test behind p.
pub(super) fn test_note(report: &AblationReport) -> String {
    let mut tests = Vec::new();
    let n = report.seeds.len();
    if has_pairs(report) || unpaired(report).next().is_none() {
        tests.push(if n <= 20 {
            format!("exact two-sided sign-flip test, all 2^{n} patterns")
        } else {
            "two-sided sign-flip test, 100000 random patterns".to_owned()
        });
    }
    if unpaired(report).next().is_some() {
        tests.push(
            "two-sided permutation test of Welch's t over the splits of all scores into two arms, exact up to 200000, or \
             Welch's own p, if larger"
                .to_owned(),
        );
    }
    tests.join("; of arms of other seeds ")
}

/// The numbers by whose standard deviation a power is.
pub(super) fn spread_of(report: &AblationReport) -> &'static str {
    if unpaired(report).next().is_none() {
        "differences"
    } else if has_pairs(report) {
        "differences, or of the scores of arms of other seeds,"
    } else {
        "scores"
    }
}

/// Remarks on a table of another program, and what it does not say.
pub(super) fn given_notes(given: &Given) -> Vec<String> {
    let mut notes = given.remarks.clone();
    if !given.costs.is_empty() {
        notes.push(format!(
            "cost: arms are compared where they agree in {} within 1 %.",
            given.costs.join(", ")
        ));
    }
    let mut unknown = Vec::new();
    if given.costs.is_empty() {
        unknown.push("cost (steps, tokens, parameters or FLOP; columns of it: --cost)");
    }
    if given.causal.is_none() {
        unknown.push("if later tokens influence earlier ones (a column of it: --causal)");
    }
    unknown.push("if each arm was tuned alike, and if runs are missing");
    notes.push(format!("not known from the table: {}.", unknown.join("; ")));
    notes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ablation::{AblationTable, FigureConfig, TableConfig, figure};
    use moe_lab::ablate::{AblationConfig, ArmResult};
    use moe_lab::stats::Goal;

    fn given() -> Given {
        Given {
            metric: "val/loss".into(),
            goal: Goal::Lower,
            costs: Vec::new(),
            causal: None,
            seed_names: Vec::new(),
            remarks: vec!["a remark.".into()],
        }
    }

    /// `b` has the baseline's seeds and `c` others; `b - a` is 0.5, 0.4, 0.5, 0.4, 0.5, 0.4.
    fn report(pairing: Pairing) -> AblationReport {
        let mut c = ArmResult::of_losses("c", &[1.0, 1.1, 1.2, 1.1]);
        c.seeds.iter_mut().for_each(|run| run.seed += 100);
        let arms = [
            ArmResult::of_losses("a", &[2.0, 2.1, 2.2, 2.3, 2.4, 2.5]),
            ArmResult::of_losses("b", &[2.5, 2.5, 2.7, 2.7, 2.9, 2.9]),
            c,
        ];
        AblationReport::given(&arms, &AblationConfig::default(), given(), pairing).unwrap()
    }

    fn text(report: &AblationReport) -> String {
        AblationTable(report).text(TableConfig::default())
    }

    #[test]
    fn a_table_of_another_program_says_what_it_does_not_know() {
        let text = text(&report(Pairing::SameSeeds));
        for words in [
            "3 arms, 4 to 6 seeds an arm; lower val/loss is better.\nBaseline a.",
            "arm       val/loss  difference",
            "Of c, which has other seeds, as independent samples; interval: Welch's t",
            "all 2^6 patterns; of arms of other seeds two-sided permutation test",
            "by the standard deviation of the differences, or of the scores of arms of other seeds, seen here.",
            "\na remark.\n",
            "not known from the table: cost (",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(
            !text.contains("MaxVio") && !text.contains("tokens/s"),
            "{text}"
        );
    }

    #[test]
    fn samples_alone_speak_of_no_pairs() {
        let mut samples = report(Pairing::Never);
        samples.given.as_mut().unwrap().costs = vec!["params".into()];
        let text = text(&samples);
        assert!(
            !text.contains("same seed") && !text.contains("sign-flip"),
            "{text}"
        );
        assert!(
            text.contains("arms are compared where they agree in params within 1 %"),
            "{text}"
        );
        assert!(!text.contains("cost (steps"), "{text}");
    }

    #[test]
    fn seeds_have_their_names() {
        let arms = [
            ArmResult::of_losses("a", &[1.0, 2.0]),
            ArmResult::of_losses("b", &[1.5, 2.5]),
        ];
        let given = Given {
            seed_names: ["first", "second"].map(String::from).to_vec(),
            ..given()
        };
        let report =
            AblationReport::given(&arms, &AblationConfig::default(), given, Pairing::SameSeeds);
        assert!(text(&report.unwrap()).starts_with("2 arms, seeds first, second; "));
    }

    #[test]
    fn seeds_are_not_named_where_a_diverged_arm_has_others() {
        // the arm c has the seeds 100 to 103, and its score that is not finite leaves no comparison
        let mut c = ArmResult::of_losses("c", &[1.0, f64::NAN, 1.2, 1.1]);
        c.seeds.iter_mut().for_each(|run| run.seed += 100);
        let arms = [ArmResult::of_losses("a", &[2.0, 2.1, 2.2, 2.3]), c];
        let of = |pairing| {
            let config = AblationConfig::default();
            let report = AblationReport::given(&arms, &config, given(), pairing);
            seeds_text(&report.unwrap())
        };
        assert_eq!(of(Pairing::SameSeeds), "4 seeds an arm");
        assert_eq!(of(Pairing::Never), "4 seeds an arm");
    }

    #[test]
    fn the_most_seeds_that_an_arm_needs_are_named() {
        // three seeds an arm: 2 / 2^6 is 0.03 for two paired arms, 2 / C(6, 3) is 0.1 for samples, so their numbers differ
        let mut c = ArmResult::of_losses("c", &[2.05, 2.3, 2.1]);
        c.seeds.iter_mut().for_each(|run| run.seed += 100);
        let paired = ArmResult::of_losses("b", &[2.1, 2.0, 2.3]);
        let arms = |second, third| [ArmResult::of_losses("a", &[2.0, 2.1, 2.2]), second, third];
        let needed = |arms: &[ArmResult]| {
            let config = AblationConfig::default();
            let report = AblationReport::given(arms, &config, given(), Pairing::SameSeeds);
            let text = text(&report.unwrap());
            let found = text.split("run at least ").nth(1).unwrap().to_owned();
            found.split(' ').next().unwrap().to_owned()
        };
        assert_eq!(
            needed(&arms(paired.clone(), c.clone())),
            needed(&arms(c, paired))
        );
    }

    #[test]
    fn the_figure_has_the_column_as_its_title() {
        let mut report = report(Pairing::SameSeeds);
        report.given.as_mut().unwrap().metric = "a<b".into();
        let figure = figure(&report, &FigureConfig::default());
        assert!(
            figure.contains(">a&lt;b</text>") && figure.contains("4 to 6 seeds"),
            "{figure}"
        );
    }
}
