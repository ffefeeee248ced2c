use super::super::arms::ArmStyle;
use super::super::chart::Chart;
use super::super::html::Html;
use crate::counted;
use crate::svg::Origin;
use moe_lab::report::{CurveKind, Report};
use moe_train::task::Task;

/// Training loss and figure of merit.
pub fn learning(report: &Report, styles: &[ArmStyle]) -> Html {
    let merit = capitalised(&report.merit.name);
    let loss = format!("Training loss (nats {})", unit(report));
    let charts = [
        (CurveKind::TrainLoss, loss.as_str(), Origin::Data),
        (CurveKind::Merit, merit.as_str(), Origin::Data),
    ];
    grid(report, styles, &charts)
}

/// What the training loss is a mean over.
fn unit(report: &Report) -> &'static str {
    match report.questions[0].config.model.task() {
        Task::Language => "a token",
        Task::Images => "an image",
        Task::Pairs => "a target token",
    }
}

/// Dropped assignments, dead experts and the largest load.
pub fn balance(report: &Report, styles: &[ArmStyle]) -> Html {
    let charts = [
        (
            CurveKind::DropRate,
            "Dropped assignments (share, mean over layers)",
            Origin::Zero,
        ),
        (
            CurveKind::DeadExperts,
            "Dead experts (of a layer, mean over layers)",
            Origin::Zero,
        ),
        (
            CurveKind::MaxVio,
            "MaxVio (largest load / mean - 1, mean over layers)",
            Origin::Zero,
        ),
    ];
    grid(report, styles, &charts)
}

fn grid(report: &Report, styles: &[ArmStyle], charts: &[(CurveKind, &str, Origin)]) -> Html {
    let figures: Html = charts
        .iter()
        .map(|(kind, title, origin)| figure(report, styles, *kind, title, *origin))
        .collect();
    Html::element("div", "class=\"grid\"", figures).line()
}

fn figure(
    report: &Report,
    styles: &[ArmStyle],
    kind: CurveKind,
    title: &str,
    origin: Origin,
) -> Html {
    let lines: Vec<_> = styles
        .iter()
        .zip(&report.questions)
        .filter_map(|(style, question)| Some((style, question.curve(kind)?)))
        .collect();
    if lines.is_empty() {
        return Html::paragraph("note", &format!("{title}: nothing was logged."));
    }
    let averaged = lines
        .iter()
        .map(|(_, curve)| curve.averaged)
        .max()
        .unwrap_or(1);
    let caption = caption(kind, averaged, report);
    Chart {
        title,
        caption: &caption,
        origin,
        lines,
    }
    .figure()
}

fn caption(kind: CurveKind, averaged: usize, report: &Report) -> String {
    let mut text = match report.questions.iter().any(|q| q.runs.len() > 1) {
        true => "Line: mean over seeds; band: smallest to largest seed.".to_owned(),
        false => "One seed an arm.".to_owned(),
    };
    if averaged > 1 {
        text.push_str(&format!(
            " A point is the mean of {}.",
            counted(averaged, "logged step")
        ));
    }
    text.push_str(match kind {
        CurveKind::TrainLoss => " Without balance losses.",
        CurveKind::Merit => {
            " The last point of a finished run scores the whole validation part, those before it windows of it."
        }
        CurveKind::DropRate | CurveKind::DeadExperts | CurveKind::MaxVio => " While training.",
    });
    text
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
