//! The sections of curves: learning and balance.

use super::super::arms::ArmStyle;
use super::super::chart::Chart;
use super::super::html::Html;
use crate::counted;
use crate::svg::Origin;
use moe_lab::report::{CurveKind, Question, Report};
use moe_train::task::Task;

/// Training loss and figure of merit, in one unit where both can be bits a byte.
pub fn learning(report: &Report, styles: &[ArmStyle]) -> Html {
    let merit = capitalised(&report.merit.name);
    let has_bits = |question: &Question| question.curve(CurveKind::TrainBits).is_some();
    let (kind, unit) = if report.questions.iter().all(has_bits) {
        (CurveKind::TrainBits, "bits per byte".to_owned())
    } else {
        (CurveKind::TrainLoss, format!("nats {}", unit(report)))
    };
    let loss = format!("Training loss ({unit})");
    let charts = [
        (kind, loss.as_str(), Origin::Data),
        (CurveKind::Merit, merit.as_str(), Origin::Data),
    ];
    grid(report, styles, &charts)
}

/// The thing that the training loss is a mean over.
fn unit(report: &Report) -> &'static str {
    match report.questions[0].config.model.task() {
        Task::Text => "a token",
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
    let mut text = if report.questions.iter().any(|q| q.runs.len() > 1) {
        "Line: mean over seeds; band: smallest to largest seed.".to_owned()
    } else {
        "One seed an arm.".to_owned()
    };
    if averaged > 1 {
        text.push_str(&format!(
            " A point is the mean of {}.",
            counted(averaged, "logged step")
        ));
    }
    text.push_str(match kind {
        CurveKind::TrainLoss => " Without balance losses.",
        CurveKind::TrainBits => {
            " Without balance losses; by the bytes that a token of the validation text has."
        }
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
