//! The bug museum of executors: mistakes of code that computes experts on their tokens, each rebuilt, and
//! the laws that find it.

#[path = "museum/broken.rs"]
mod broken;

use burn::tensor::{Device, Tensor};
use moe_experts::laws::{
    EXECUTOR_LAWS, ExecutorSubject, Options, Report, Verdict, check_executor, executors,
};
use moe_experts::{Activation, ExpertWeights, RowPlan};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

type Executor = fn(Tensor<2>, ExpertWeights, Tensor<1>, Arc<RowPlan>, Activation) -> Tensor<2>;

/// A mistake on display.
struct Exhibit {
    /// Name of the fault.
    name: &'static str,
    /// Place where it happened: project and issue, or empty.
    history: &'static str,
    /// The laws that fail, all of them, first the one that names the mistake.
    killed_by: &'static [&'static str],
    /// Message of the first law, in part.
    says: &'static str,
    executor: Executor,
}

impl Exhibit {
    fn report(&self) -> Report {
        let subject = ExecutorSubject::new("broken", self.executor, &Device::flex());
        check_executor(&subject, &Options::default())
    }
}

/// Writes the list of exhibits.
macro_rules! museum {
    ($($name:literal, $history:literal, [$($law:literal),*], $says:literal, $executor:path;)+) => {
        const MUSEUM: &[Exhibit] = &[$(Exhibit {
            name: $name,
            history: $history,
            killed_by: &[$($law),*],
            says: $says,
            executor: $executor,
        }),+];
    };
}

museum! {
    "weights are applied twice", "", ["identical-experts", "reference", "one-expert", "dense-mixture"], "the output", broken::weights_twice;
    "weights are not applied", "", ["identical-experts", "reference", "one-expert", "dense-mixture"], "the output", broken::no_weights;
    "weights are normalised once more, over the kept assignments", "", ["identical-experts", "reference", "one-expert", "dense-mixture", "dropped"], "the output",
        broken::normalised_again;
    "weights in the order of the list, rows in that of experts", "", ["assignment-order", "reference", "dense-mixture", "identical-experts", "idle", "dropped", "expert-relabelling"], "the output",
        broken::weights_unsorted;
    "results stay in the order of experts", "", ["assignment-order", "reference", "dense-mixture", "identical-experts", "expert-relabelling"], "the output", broken::rows_unsorted;
    "the place of a dropped assignment is clamped to the last row", "", ["dropped", "reference", "identical-experts", "idle", "assignment-order", "expert-relabelling"], "is NaN",
        broken::dropped_clamped;
    "weights of dropped assignments are multiplied by zero", "transformers#48205", ["dropped"], "is NaN", broken::dropped_times_zero;
    "the last row is left out", "", ["reference", "one-expert", "dense-mixture", "identical-experts", "assignment-order", "expert-relabelling"], "the output", broken::last_row_lost;
    "an expert's rows end one too late", "", ["reference", "dense-mixture", "assignment-order", "expert-relabelling"], "the output", broken::end_too_late;
    "the loop over experts ends before the last", "", ["expert-relabelling", "reference", "dense-mixture", "identical-experts"], "the output", broken::last_expert_lost;
    "an idle expert keeps an old gradient", "MSLK#158", ["idle", "reference", "expert-relabelling"], "idle expert", broken::stale_gradient;
    "the weights get no gradient", "candle#3823", ["reference", "one-expert", "dense-mixture", "identical-experts"], "the gradient of the weights",
        broken::weights_detached;
    "the tokens get no gradient", "", ["reference", "one-expert", "dense-mixture", "identical-experts"], "the gradient of x", broken::tokens_detached;
    "of a token's rows the last overwrites the others", "", ["dense-mixture", "reference", "identical-experts", "assignment-order", "expert-relabelling"], "the output", broken::overwritten;
    "gate and up stack change places", "", ["one-expert", "reference", "dense-mixture", "identical-experts"], "the output", broken::gate_and_up;
    "projections without their biases", "", ["reference"], "the output", broken::no_biases;
    "no tokens panic", "", ["no-tokens", "reference", "idle", "expert-relabelling"], "it panicked", broken::panics_at_none;
}

#[test]
fn the_executors_of_this_crate_break_no_law() {
    for subject in executors(&Device::flex()) {
        let report = check_executor(&subject, &Options::default());
        report.assert_passed();
        for finding in &report.findings {
            let law = finding.law;
            assert!(
                matches!(finding.verdict, Verdict::Pass(_)),
                "{law} applies to no case"
            );
        }
    }
}

#[test]
fn an_executor_from_another_crate_takes_one_call() {
    moe_experts::laws::check("mine", moe_experts::moe_ffn, &Device::flex());
}

#[test]
#[should_panic(expected = "breaks the law `identical-experts` (seed 0)")]
fn a_broken_executor_panics_with_its_report() {
    moe_experts::laws::check("mine", broken::weights_twice, &Device::flex());
}

#[test]
fn each_exhibit_is_killed_by_its_laws() {
    let mut wrong = Vec::new();
    for exhibit in MUSEUM {
        let report = exhibit.report();
        let failed: BTreeSet<&str> = report.failed().into_iter().collect();
        if failed != exhibit.killed_by.iter().copied().collect() {
            wrong.push(format!("{}: {failed:?}\n{report}", exhibit.name));
        }
        let first = report
            .finding(exhibit.killed_by[0])
            .map(|finding| &finding.verdict);
        match first {
            Some(Verdict::Fail { message, .. }) if message.contains(exhibit.says) => (),
            other => wrong.push(format!("{}: {other:?}", exhibit.name)),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_law_kills_something() {
    for law in EXECUTOR_LAWS {
        let kills = MUSEUM
            .iter()
            .any(|exhibit| exhibit.killed_by.contains(&law.name));
        assert!(kills, "{} kills nothing", law.name);
    }
}

#[test]
fn the_page_of_laws_and_the_changelog_are_up_to_date() {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(path).expect("a page of this repository")
    };
    let expected = tables();
    assert!(
        read("../docs/reference/laws.md").contains(&expected),
        "docs/reference/laws.md should hold:\n\n{expected}"
    );
    let count = format!("{} mistakes of executors", MUSEUM.len());
    assert!(
        read("../CHANGELOG.md").contains(&count),
        "CHANGELOG.md should say \"{count}\""
    );
}

/// The laws with what they kill, then the exhibits.
fn tables() -> String {
    let mut text = "| law | holds | exhibits that it kills |\n| --- | --- | --- |\n".to_owned();
    for law in EXECUTOR_LAWS {
        let killed = MUSEUM
            .iter()
            .filter(|exhibit| exhibit.killed_by.contains(&law.name));
        let killed: Vec<&str> = killed.map(|exhibit| exhibit.name).collect();
        text += &format!(
            "| `{}` | {} | {} |\n",
            law.name,
            law.sentence,
            killed.join("; ")
        );
    }
    text += "\n| exhibit | where it happened | killed by |\n| --- | --- | --- |\n";
    for exhibit in MUSEUM {
        let laws: Vec<String> = exhibit
            .killed_by
            .iter()
            .map(|law| format!("`{law}`"))
            .collect();
        text += &format!(
            "| {} | {} | {} |\n",
            exhibit.name,
            exhibit.history,
            laws.join(", ")
        );
    }
    text
}
