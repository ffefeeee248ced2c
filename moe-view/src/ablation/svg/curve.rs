//! The arms that differ in one number, as curves over its values: evenly spaced, because such values
//! span powers of ten and often include zero.

use super::{CHARACTER, GAP, PANEL, Panel, values};
use crate::svg::{Scale, escape, label};
use moe_lab::ablate::AblationReport;
use moe_lab::ablate::Metric;
use moe_lab::ablate::{Sweep, SweepLine};
use moe_lab::stats::{mean, sample_std};
use std::fmt::Write;

const HEIGHT: f64 = 150.0;

/// A mean with its standard deviation at a place of the page.
struct Point {
    x: f64,
    mean: f64,
    std: f64,
}

/// One panel for each metric under its column of dots, and where they end.
pub(super) fn curves(
    report: &AblationReport,
    sweep: &Sweep,
    panels: &[Panel],
    left: f64,
    top: f64,
) -> (String, f64) {
    let mut body = String::new();
    for (i, shown) in panels.iter().enumerate() {
        let start = left + i as f64 * (PANEL + GAP);
        let _ = writeln!(
            body,
            "<text class=\"title\" x=\"{start:.1}\" y=\"{:.1}\">{}</text>\
             <text class=\"small middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            top + 12.0,
            shown.title(report),
            start + PANEL / 2.0,
            top + HEIGHT + 60.0,
            escape(&sweep.key)
        );
        let place = Place {
            start,
            top: top + 24.0,
        };
        panel(&mut body, report, sweep, *shown, &place);
    }
    let bottom = top + HEIGHT + 76.0;
    if sweep.lines.len() < 2 {
        return (body, bottom);
    }
    legend(&mut body, sweep, left, bottom + 12.0);
    (body, bottom + 28.0)
}

/// The upper left corner of a panel.
struct Place {
    start: f64,
    top: f64,
}

fn panel(body: &mut String, report: &AblationReport, sweep: &Sweep, panel: Panel, place: &Place) {
    let metric = panel.metric(report);
    let all = sweep.values();
    let step = PANEL / all.len() as f64;
    let x = |value: f64| {
        let column = all.iter().position(|&other| other == value);
        place.start + step * (column.unwrap_or(0) as f64 + 0.5)
    };
    for &value in &all {
        let _ = writeln!(
            body,
            "<text class=\"small middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x(value),
            place.top + HEIGHT + 16.0,
            label(value)
        );
    }
    let lines = sweep.lines.iter();
    let lines: Vec<Vec<Point>> = lines.map(|line| points(report, line, metric, &x)).collect();
    let ends = |p: &Point| [p.mean - p.std, p.mean + p.std];
    let ends: Vec<f64> = lines.iter().flatten().flat_map(ends).collect();
    let scale = Scale::around(&ends, panel.origin(), place.top + HEIGHT, place.top);
    ticks(body, &scale, place);
    for (i, points) in lines.iter().enumerate() {
        draw(body, points, &scale, class(i, lines.len()));
    }
}

/// The points of a curve that have a finite value.
fn points(
    report: &AblationReport,
    line: &SweepLine,
    metric: Metric,
    x: &impl Fn(f64) -> f64,
) -> Vec<Point> {
    let mut points = Vec::new();
    for point in &line.points {
        let arm = report.arms.iter().find(|arm| arm.label == point.label);
        let values = arm.map_or(Vec::new(), |arm| values(arm, metric));
        if !values.is_empty() {
            points.push(Point {
                x: x(point.value),
                mean: mean(&values),
                std: sample_std(&values).unwrap_or(0.0),
            });
        }
    }
    points
}

fn ticks(body: &mut String, scale: &Scale, place: &Place) {
    for tick in scale.ticks() {
        let (y, end) = (scale.at(tick), place.start + PANEL);
        let _ = writeln!(
            body,
            "<line class=\"grid\" x1=\"{:.1}\" x2=\"{end:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"small right\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            place.start,
            place.start - 4.0,
            y + 4.0,
            label(tick)
        );
    }
}

fn draw(body: &mut String, points: &[Point], scale: &Scale, class: &str) {
    let at = |x: f64, value: f64| {
        let y = scale.at(value.max(scale.low));
        format!("{x:.1},{y:.1}")
    };
    let upper = points.iter().map(|p| at(p.x, p.mean + p.std));
    let lower = points.iter().rev().map(|p| at(p.x, p.mean - p.std));
    let band: Vec<String> = upper.chain(lower).collect();
    let line: Vec<String> = points.iter().map(|p| at(p.x, p.mean)).collect();
    let _ = writeln!(
        body,
        "<polygon class=\"{class} band\" points=\"{}\"/><polyline class=\"{class} line\" points=\"{}\"/>",
        band.join(" "),
        line.join(" ")
    );
    for p in points {
        let y = scale.at(p.mean);
        let _ = writeln!(
            body,
            "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\"/>",
            p.x
        );
    }
}

/// The colour of a curve: of several the first, which is the baseline's, is grey.
fn class(line: usize, n_lines: usize) -> &'static str {
    match (line, n_lines) {
        (0, 2..) => "baseline",
        _ => "arm",
    }
}

/// The names of several curves in a row, each after a dot of its colour.
fn legend(body: &mut String, sweep: &Sweep, left: f64, y: f64) {
    let mut x = left;
    for (i, line) in sweep.lines.iter().enumerate() {
        let _ = writeln!(
            body,
            "<circle class=\"{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>\
             <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
            class(i, sweep.lines.len()),
            x + 4.0,
            y - 4.0,
            x + 14.0,
            escape(&line.label)
        );
        x += 14.0 + CHARACTER * line.label.chars().count() as f64 + GAP;
    }
}
