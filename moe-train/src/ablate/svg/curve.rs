//! The arms that differ in one number, as curves over its values: evenly spaced, because such values
//! span powers of ten and often include zero.

use super::{GAP, PANEL, metrics, values};
use crate::ablate::rule::Metric;
use crate::ablate::sweep::Sweep;
use crate::ablate::table::AblationReport;
use crate::draw::{Origin, Scale, escape, label};
use crate::stats::{mean, sample_std};
use std::fmt::Write;

const HEIGHT: f64 = 150.0;

/// A mean with its standard deviation at a place of the page.
struct Point {
    x: f64,
    mean: f64,
    std: f64,
}

/// One curve for each metric under its column of dots, and where they end.
pub(super) fn curves(report: &AblationReport, sweep: &Sweep, left: f64, top: f64) -> (String, f64) {
    let mut body = String::new();
    for (i, (metric, title, origin)) in metrics(report).into_iter().enumerate() {
        let start = left + i as f64 * (PANEL + GAP);
        let _ = writeln!(
            body,
            "<text class=\"title\" x=\"{start:.1}\" y=\"{:.1}\">{title}</text>\
             <text class=\"small middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            top + 12.0,
            start + PANEL / 2.0,
            top + HEIGHT + 60.0,
            escape(&sweep.key)
        );
        let place = Place {
            start,
            top: top + 24.0,
        };
        curve(&mut body, report, sweep, (metric, origin), &place);
    }
    (body, top + HEIGHT + 76.0)
}

/// The upper left corner of a curve.
struct Place {
    start: f64,
    top: f64,
}

fn curve(
    body: &mut String,
    report: &AblationReport,
    sweep: &Sweep,
    (metric, origin): (Metric, Origin),
    place: &Place,
) {
    let bottom = place.top + HEIGHT;
    let step = PANEL / sweep.points.len() as f64;
    let mut points = Vec::new();
    for (i, point) in sweep.points.iter().enumerate() {
        let x = place.start + step * (i as f64 + 0.5);
        let _ = writeln!(
            body,
            "<text class=\"small middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            bottom + 16.0,
            label(point.value)
        );
        let arm = report.arms.iter().find(|arm| arm.label == point.label);
        let values = arm.map_or(Vec::new(), |arm| values(arm, metric));
        if !values.is_empty() {
            let std = sample_std(&values).unwrap_or(0.0);
            points.push(Point {
                x,
                mean: mean(&values),
                std,
            });
        }
    }
    draw(body, &points, origin, place);
}

fn draw(body: &mut String, points: &[Point], origin: Origin, place: &Place) {
    let ends = |p: &Point| [p.mean - p.std, p.mean + p.std];
    let all: Vec<f64> = points.iter().flat_map(ends).collect();
    let scale = Scale::around(&all, origin, place.top + HEIGHT, place.top);
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
        "<polygon class=\"arm band\" points=\"{}\"/><polyline class=\"arm line\" points=\"{}\"/>",
        band.join(" "),
        line.join(" ")
    );
    for p in points {
        let y = scale.at(p.mean);
        let _ = writeln!(
            body,
            "<circle class=\"arm\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\"/>",
            p.x
        );
    }
}
