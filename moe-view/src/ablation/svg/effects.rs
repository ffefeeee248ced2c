//! The picture of all claims: one row a rule, its effect and interval against its bound, in half widths of the interval,
//! so that losses, loads and shares of correct images stand in one picture.

use super::effect::Effect;
use super::{CHARACTER, MARGIN, ROW, STYLE};
use crate::svg::{Scale, escape, label};
use moe_lab::ablate::{ClaimReport, Decision, Rule};
use std::fmt::Write;

/// The farthest distance that is drawn, in half widths; what lies further out is an arrow at the edge.
const FARTHEST: f64 = 5.0;
const PANEL: f64 = 300.0;
/// Where the first row begins.
const TOP: f64 = 66.0;
/// The width of a small character, about.
const SMALL: f64 = 5.6;
/// Between two claims.
const BETWEEN: f64 = 8.0;

/// A claim with its decision.
#[derive(Debug, Clone, Copy)]
pub struct DecidedClaim<'a> {
    /// The name of its file without extension.
    pub name: &'a str,
    /// The rules of its file.
    pub rules: &'a [Rule],
    /// Decisions on them.
    pub report: &'a ClaimReport,
}

/// A row with its place.
struct Row {
    y: f64,
    effect: Effect,
}

/// The picture (SVG): the effect of each rule against its bound, of all claims.
pub fn effects(claims: &[DecidedClaim<'_>]) -> String {
    let (rows, bottom) = rows(claims);
    let longest = |of: fn(&Effect) -> &str| {
        let lengths = rows.iter().map(|row| of(&row.effect).chars().count());
        CHARACTER * lengths.max().unwrap_or(0) as f64
    };
    let left = MARGIN + longest(|effect| &effect.label) + 8.0;
    let width = left + PANEL + 12.0 + longest(|effect| &effect.numbers) + MARGIN;
    let scale = Scale {
        low: -FARTHEST,
        high: FARTHEST,
        start: left,
        end: left + PANEL,
    };
    let foot_width = FOOT.map(|line| line.chars().count()).into_iter().max();
    let width = width.max(2.0 * MARGIN + SMALL * foot_width.unwrap_or(0) as f64);
    let mut body = String::new();
    head(&mut body, &scale);
    axis(&mut body, &scale, bottom);
    rows.iter().for_each(|row| draw(&mut body, row, &scale));
    foot(&mut body, bottom + 40.0);
    let height = bottom + 110.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ablation\" role=\"img\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <title>{TITLE}</title>\n<style>\n{STYLE}{DECISIONS}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n"
    )
}

const TITLE: &str = "Each rule of each claim: its effect against its bound";

/// Meaning of the marks.
const FOOT: [&str; 4] = [
    "line at 0: the bound, moved by the margin; mark: the mean effect; bar: its interval, whose half width is the unit",
    "interval: Student's t of paired differences, 95 %, for an equality 90 %; more for a claim with two looks",
    "a rule passes where its bar lies right of the line, and fails where it lies left of it; a trend is decided by its p",
    "triangle at the edge: further out",
];

const DECISIONS: &str = "\
.ablation .bound { stroke: #1a1a1a; stroke-width: 1.5; }
.ablation .pass { stroke: #009e73; fill: #009e73; }
.ablation .fail { stroke: #d55e00; fill: #d55e00; }
.ablation .open { stroke: #767676; fill: #ffffff; }
.ablation .interval { stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  .ablation .bound { stroke: #e8e8e8; }
  .ablation .open { stroke: #9c9c9c; fill: #161616; }
}
";

/// All rows, those of a claim together, and where they end.
fn rows(claims: &[DecidedClaim<'_>]) -> (Vec<Row>, f64) {
    let (mut rows, mut y) = (Vec::new(), TOP);
    for claim in claims {
        for effect in Effect::of_claim(claim) {
            rows.push(Row {
                y: y + ROW / 2.0,
                effect,
            });
            y += ROW;
        }
        y += BETWEEN;
    }
    (rows, y)
}

/// The title, and which side is which.
fn head(body: &mut String, scale: &Scale) {
    let bound = scale.at(0.0);
    let _ = writeln!(
        body,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{:.1}\">{TITLE}</text>\n\
         <text class=\"small right\" x=\"{:.1}\" y=\"{:.1}\">\u{2190} the opposite</text>\
         <text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">as claimed \u{2192}</text>\
         <text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">effect [interval]</text>",
        MARGIN + 8.0,
        bound - 10.0,
        TOP - 14.0,
        bound + 10.0,
        TOP - 14.0,
        scale.end + 12.0,
        TOP - 14.0
    );
}

fn axis(body: &mut String, scale: &Scale, bottom: f64) {
    for tick in scale.ticks() {
        let x = scale.at(tick);
        let class = if tick == 0.0 { "bound" } else { "grid" };
        let _ = writeln!(
            body,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>\
             <text class=\"small middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            TOP - 6.0,
            bottom + 14.0,
            label(tick)
        );
    }
}

fn draw(body: &mut String, row: &Row, scale: &Scale) {
    let (y, effect) = (row.y, &row.effect);
    let _ = writeln!(
        body,
        "<text class=\"right\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
         <text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        scale.start - 8.0,
        y + 4.0,
        escape(&effect.label),
        scale.end + 12.0,
        y + 4.0,
        escape(&effect.numbers)
    );
    let Some(distance) = effect.distance else {
        return;
    };
    let class = class(effect.decision);
    if distance.abs() > FARTHEST + 1.0 {
        return arrow(body, scale, distance, class, y);
    }
    let at = |x: f64| scale.at(x.clamp(-FARTHEST, FARTHEST));
    let _ = writeln!(
        body,
        "<line class=\"interval {class}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
        at(distance - 1.0),
        at(distance + 1.0)
    );
    mark(body, effect.decision, at(distance), y);
}

/// A triangle at the edge, for what lies further out.
fn arrow(body: &mut String, scale: &Scale, distance: f64, class: &str, y: f64) {
    let (tip, back) = if distance > 0.0 {
        (scale.end, scale.end - 9.0)
    } else {
        (scale.start, scale.start + 9.0)
    };
    let (upper, lower) = (y - 5.0, y + 5.0);
    let _ = writeln!(
        body,
        "<polygon class=\"{class}\" points=\"{back:.1},{upper:.1} {tip:.1},{y:.1} {back:.1},{lower:.1}\"/>"
    );
}

/// A mark whose form says what its colour says.
fn mark(body: &mut String, decision: Decision, x: f64, y: f64) {
    let class = class(decision);
    let _ = match decision {
        Decision::Fail => writeln!(
            body,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\"/>",
            x - 4.0,
            y - 4.0
        ),
        Decision::Pass | Decision::Inconclusive | Decision::NotDecided => writeln!(
            body,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
        ),
    };
}

fn class(decision: Decision) -> &'static str {
    match decision {
        Decision::Pass => "pass",
        Decision::Fail => "fail",
        Decision::Inconclusive | Decision::NotDecided => "open",
    }
}

/// The meaning of the marks and of the axis.
fn foot(body: &mut String, y: f64) {
    let mut x = MARGIN + 4.0;
    for decision in [Decision::Pass, Decision::Fail, Decision::Inconclusive] {
        mark(body, decision, x, y - 4.0);
        let name = decision.to_string();
        let _ = writeln!(
            body,
            "<text class=\"small\" x=\"{:.1}\" y=\"{y:.1}\">{name}</text>",
            x + 10.0
        );
        x += 30.0 + CHARACTER * name.len() as f64;
    }
    for (i, line) in FOOT.iter().enumerate() {
        let _ = writeln!(
            body,
            "<text class=\"small\" x=\"{MARGIN}\" y=\"{:.1}\">{line}</text>",
            y + 4.0 + 14.0 * (i + 1) as f64
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_lab::ablate::{Bound, Budget, Metric, RuleReport, Side, Statement};
    use moe_lab::stats::Interval;

    /// A claim of one rule each of some effects, which are to be below `a<b`.
    fn drawn(effects_of: &[(Option<f64>, Decision)]) -> String {
        let rule = Rule {
            arms: vec!["mine".into()],
            metric: Metric::MaxVio,
            column: None,
            statement: Statement::Is(Side::Below, Bound::Arm("a<b".into())),
            budget: Budget::Active,
        };
        let report = |&(difference, decision): &(Option<f64>, Decision)| RuleReport {
            rule: String::new(),
            difference,
            interval: difference.map(|d: f64| Interval {
                low: d - 0.5,
                high: d + 0.5,
            }),
            level: 0.95,
            p: None,
            visible: None,
            reason: None,
            decision,
        };
        let report = ClaimReport {
            hypothesis: "h".into(),
            source: "s".into(),
            explored: None,
            rules: effects_of.iter().map(report).collect(),
            changed_by: None,
            look: None,
            levels: moe_lab::ablate::Levels::default(),
            runs_of_another_version: 0,
            decision: Decision::Inconclusive,
        };
        effects(&[DecidedClaim {
            name: "c2",
            rules: &vec![rule; effects_of.len()],
            report: &report,
        }])
    }

    #[test]
    fn each_rule_is_a_row_in_the_colour_and_form_of_its_decision() {
        let figure = drawn(&[
            (Some(-1.0), Decision::Pass),
            (Some(1.0), Decision::Fail),
            (Some(0.1), Decision::Inconclusive),
        ]);
        assert_eq!(figure.matches(">C2 mine &lt; a&lt;b</text>").count(), 3);
        assert!(figure.contains(">max_vio -1.00 [-1.50, -0.500]</text>"));
        // once in a row and once in the legend
        assert_eq!(figure.matches("<circle class=\"pass\"").count(), 2);
        assert_eq!(figure.matches("<rect class=\"fail\"").count(), 2);
        assert_eq!(figure.matches("<circle class=\"open\"").count(), 2);
        assert_eq!(figure.matches("<line class=\"interval").count(), 3);
    }

    #[test]
    fn a_bar_lies_right_of_the_bound_where_its_rule_passes() {
        // left: 16 + 13 letters of 6.6 + 8 = 109.8; 300 for -5 to 5, so the bound is at 259.8
        let figure = drawn(&[(Some(-1.0), Decision::Pass)]);
        assert!(
            figure.contains("<line class=\"bound\" x1=\"259.8\""),
            "{figure}"
        );
        // 1 below is 2 half widths as claimed: 259.8 + 30 to 259.8 + 90
        assert!(
            figure.contains("class=\"interval pass\" x1=\"289.8\" x2=\"349.8\""),
            "{figure}"
        );
        assert!(figure.contains("class=\"pass\" cx=\"319.8\""), "{figure}");
    }

    #[test]
    fn what_lies_far_out_is_an_arrow_and_what_has_no_interval_is_words() {
        let figure = drawn(&[
            (Some(-50.0), Decision::Pass),
            (None, Decision::Inconclusive),
        ]);
        assert!(
            figure.contains("<polygon class=\"pass\" points=\"400.8,72.0 409.8,77.0"),
            "{figure}"
        );
        assert!(figure.contains(">max_vio: no interval</text>"));
        assert!(!figure.contains("class=\"interval") && !figure.contains("NaN"));
    }

    #[test]
    fn sides_legend_and_axis_are_said_and_the_figure_stands_alone() {
        let figure = drawn(&[(Some(-1.0), Decision::Pass)]);
        for part in [
            "<title>Each rule of each claim",
            ">as claimed \u{2192}</text>",
            ">\u{2190} the opposite</text>",
            ">PASS</text>",
            ">FAIL</text>",
            ">INCONCLUSIVE</text>",
            "Student's t",
            "prefers-color-scheme: dark",
        ] {
            assert!(figure.contains(part), "{part}");
        }
        let figure = figure.replace("http://www.w3.org/2000/svg", "");
        for part in ["<script", "http", "url(", "@import", "href"] {
            assert!(!figure.contains(part), "{part}");
        }
    }
}
