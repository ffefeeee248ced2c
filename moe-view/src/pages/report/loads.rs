//! The section on loads over time.

use super::super::heat::{legend, load_map};
use super::super::html::Html;
use crate::counted;
use moe_lab::report::{LoadMap, Question, Report, Run};

/// The maps of each arm: its first seed, and the others behind a line that opens them.
pub fn loads(report: &Report) -> Html {
    let of = "Colour: an expert's share of what experts were asked for in training, over an even share. \
              At the right: its last share. Experts of different seeds have nothing to do with each other.";
    let arms: Html = report.questions.iter().map(arm).collect();
    legend(of).then(arms)
}

fn arm(question: &Question) -> Html {
    let heading = Html::element("h3", "", Html::text(&question.label)).line();
    let mut seeds = question.runs.iter().map(seed);
    let first = seeds.next().unwrap_or_default();
    let others: Html = seeds.collect();
    let others = match question.runs.len() {
        0 | 1 => Html::default(),
        n => Html::details(&counted(n - 1, "more seed"), others),
    };
    heading.then(first).then(others)
}

fn seed(run: &Run) -> Html {
    let maps = LoadMap::of(run);
    let seed = run.config.seed;
    if maps.is_empty() {
        return Html::paragraph("note", &format!("Seed {seed}: no step was logged."));
    }
    let figures: Html = maps
        .iter()
        .map(|map| load_map(map, &format!("Seed {seed}, MoE layer {}", map.layer)))
        .collect();
    Html::element("div", "class=\"grid small\"", figures).line()
}
