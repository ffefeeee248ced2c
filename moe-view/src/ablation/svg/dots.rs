//! One row an arm: a dot for each seed, their mean, and a bar of one standard deviation.

use super::{GAP, MARGIN, PANEL, Panel, ROW, values};
use crate::svg::{Scale, escape, label};
use moe_lab::ablate::Metric;
use moe_lab::ablate::{AblationReport, ArmReport};
use moe_lab::stats::{mean, sample_std};
use std::fmt::Write;

const TOP: f64 = 44.0;

/// The rows of all arms, and where they end.
pub(super) fn dots(report: &AblationReport, panels: &[Panel], left: f64) -> (String, f64) {
    let mut body = String::new();
    for (row, arm) in report.arms.iter().enumerate() {
        let _ = writeln!(
            body,
            "<text class=\"right\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left - 8.0,
            middle(row) + 4.0,
            escape(&arm.label)
        );
    }
    for (i, panel) in panels.iter().enumerate() {
        let start = left + i as f64 * (PANEL + GAP);
        let _ = writeln!(
            body,
            "<text class=\"title\" x=\"{start:.1}\" y=\"{:.1}\">{}</text>",
            MARGIN + 8.0,
            escape(&panel.title(report))
        );
        draw(&mut body, report, *panel, start);
    }
    (body, middle(report.arms.len()) + ROW + 14.0)
}

fn middle(row: usize) -> f64 {
    TOP + ROW * (row as f64 + 0.5)
}

fn draw(body: &mut String, report: &AblationReport, panel: Panel, start: f64) {
    let metric = panel.metric(report);
    let all: Vec<f64> = report
        .arms
        .iter()
        .flat_map(|arm| values(arm, metric))
        .collect();
    let scale = Scale::around(&all, panel.origin(), start, start + PANEL);
    let bottom = middle(report.arms.len()) - ROW / 2.0;
    for tick in scale.ticks() {
        let x = scale.at(tick);
        let _ = writeln!(
            body,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\
             <text class=\"small middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            bottom + 14.0,
            label(tick)
        );
    }
    let _ = writeln!(
        body,
        "<text class=\"small\" x=\"{start:.1}\" y=\"{:.1}\">{}</text>",
        bottom + 30.0,
        panel.direction(report)
    );
    for (row, arm) in report.arms.iter().enumerate() {
        let class = if arm.is_baseline() { "baseline" } else { "arm" };
        seeds(body, arm, metric, &scale, class, middle(row));
    }
}

fn seeds(body: &mut String, arm: &ArmReport, metric: Metric, scale: &Scale, class: &str, y: f64) {
    let values = values(arm, metric);
    if values.is_empty() {
        let x = scale.start + 4.0;
        let _ = writeln!(
            body,
            "<text class=\"small\" x=\"{x:.1}\" y=\"{:.1}\">not finite</text>",
            y + 4.0
        );
        return;
    }
    for &value in &values {
        let x = scale.at(value);
        let _ = writeln!(
            body,
            "<circle class=\"seed {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"
        );
    }
    let mean = mean(&values);
    let std = sample_std(&values).unwrap_or(0.0);
    let clamp = |x: f64| scale.at(x).clamp(scale.start, scale.end);
    let _ = writeln!(
        body,
        "<line class=\"spread {class}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
         <circle class=\"{class}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\"/>",
        clamp(mean - std),
        clamp(mean + std),
        scale.at(mean)
    );
}
