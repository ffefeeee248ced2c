//! The sections on runs, and on those that are missing.

use super::super::arms::ArmStyle;
use super::super::html::{Column, Html, Table};
use crate::{si, significant, thousands};
use moe_lab::ablate::Spread;
use moe_lab::report::{Question, Report, Run, RunState};

/// The list of what is not there, at the head of the page.
pub fn missing(report: &Report) -> Html {
    if report.missing.is_empty() {
        return Html::default();
    }
    let heading = Html::element("h2", "id=\"missing\"", Html::text("What is missing")).line();
    let body = heading.then(Html::list("", &report.missing));
    Html::element(
        "section",
        "class=\"missing\" aria-labelledby=\"missing\"",
        body,
    )
    .line()
}

/// An arm a row: its runs, its size and its figure of merit.
pub fn runs(report: &Report, styles: &[ArmStyle]) -> Html {
    let mut table = Table::new("Arms and their runs; ± is the standard deviation over seeds")
        .column(Column::Name, "arm")
        .column(Column::Number, &report.merit.name)
        .column(Column::Name, "seeds")
        .column(Column::Name, "state")
        .column(Column::Number, "tokens/s")
        .column(Column::Number, "steps")
        .column(Column::Number, "tokens")
        .column(Column::Number, "parameters")
        .column(Column::Number, "active")
        .column(Column::Name, "configuration");
    for (question, style) in report.questions.iter().zip(styles) {
        table.row(cells(question, style, report));
    }
    table.finish()
}

fn cells(question: &Question, style: &ArmStyle, report: &Report) -> Vec<Html> {
    let config = &question.config;
    let account = config.account();
    let seeds: Vec<String> = question.seeds().iter().map(u64::to_string).collect();
    let finished = |of: &dyn Fn(&Run) -> Option<f64>| {
        let values: Vec<f64> = question.runs.iter().filter_map(of).collect();
        spread(&values)
    };
    let merit = finished(&|run| Some(report.merit.of(&run.summary.as_ref()?.validation)));
    let speed = finished(&|run| {
        run.summary.as_ref()?;
        Some(run.manifest.as_ref()?.tokens_per_s)
    });
    let tokens = config.train.steps * config.tokens_per_step();
    let texts = [
        merit,
        seeds.join(", "),
        state(question),
        speed,
        thousands(config.train.steps),
        si(tokens as f64),
        si(account.params_total as f64),
        si(account.params_active as f64),
        question.label.clone(),
    ];
    let name = Html::raw(style.swatch()).then(Html::text(&style.name));
    let texts = texts.iter().map(|text| Html::text(text));
    [name].into_iter().chain(texts).collect()
}

fn state(question: &Question) -> String {
    let count = |is: fn(RunState) -> bool| question.runs.iter().filter(|run| is(run.state)).count();
    let finished = count(|state| state == RunState::Finished);
    let diverged = count(|state| matches!(state, RunState::Diverged { .. }));
    let unfinished = question.runs.len() - finished - diverged;
    if finished == question.runs.len() {
        return "finished".to_owned();
    }
    [
        (finished, "finished"),
        (unfinished, "not finished"),
        (diverged, "diverged"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .collect::<Vec<_>>()
    .join(", ")
}

/// `mean ± standard deviation` with four significant digits, or a dash without values.
fn spread(values: &[f64]) -> String {
    if values.is_empty() {
        return "–".to_owned();
    }
    let Spread { mean, std } = Spread::of(values);
    let text = significant(mean, 4);
    let decimals = text.split_once('.').map_or(0, |(_, tail)| tail.len());
    match std {
        None => text,
        Some(std) => format!("{text} ± {std:.decimals$}"),
    }
}
