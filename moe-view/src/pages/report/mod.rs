//! The page of `moe report`.

mod comparison;
mod configs;
mod curves;
mod loads;
mod origins;
mod runs;

use super::arms::ArmStyle;
use super::html::Html;
use super::page::Page;
use crate::counted;
use comparison::comparison;
use configs::configs;
use curves::{balance, learning};
use loads::loads;
use moe_lab::report::Report;
use moe_lab::stats::Goal;
use origins::origins;
use runs::{missing, runs};

/// Runs side by side.
pub fn report_page(report: &Report) -> String {
    let styles = ArmStyle::all(&report.questions);
    let n_runs = report.runs().count();
    let title = match report.questions.as_slice() {
        [only] => format!("{}: {}", only.label, counted(n_runs, "run")),
        several => format!("{} arms, {}", several.len(), counted(n_runs, "run")),
    };
    Page::new(&title)
        .head(lead(report))
        .head(missing(report))
        .section("runs", "Runs", runs(report, &styles))
        .section("learning", "Learning", learning(report, &styles))
        .section("comparison", "Comparison", comparison(report))
        .section("balance", "Balance", balance(report, &styles))
        .section("loads", "Load of experts over time", loads(report))
        .section("configurations", "Configurations", configs(report))
        .section("origins", "How the runs were made", origins(report))
        .finish()
}

fn lead(report: &Report) -> Html {
    let data = &report.questions[0].config.data;
    let data = match data.path() {
        "" => data.name().replace('_', " "),
        path => path.to_owned(),
    };
    Html::paragraph(
        "lead",
        &format!(
            "Runs that differ in their seed alone are one arm. Compared by {}, {} is better. Data: {data}.",
            report.merit.name,
            match report.merit.goal {
                Goal::Lower => "lower",
                Goal::Higher => "higher",
            }
        ),
    )
}
