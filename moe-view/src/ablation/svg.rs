//! The figure of an ablation (SVG): no script, no link, light and dark.

mod curve;
mod dots;
mod effect;
mod effects;
mod panel;

use crate::svg::escape;
use curve::curves;
use dots::dots;
pub use effects::{DecidedClaim, effects};
use moe_lab::ablate::Metric;
use moe_lab::ablate::{AblationReport, ArmReport};
use moe_train::task::Merit;
pub use panel::Panel;

const MARGIN: f64 = 16.0;
const ROW: f64 = 22.0;
/// The width of a character, about.
const CHARACTER: f64 = 6.6;
const PANEL: f64 = 220.0;
const GAP: f64 = 28.0;
/// The height of the title's line.
const TITLE: f64 = 26.0;

/// Options of the figure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FigureConfig {
    /// A line above the panels. Default: none
    pub title: Option<String>,
    /// The panels. Default: the loss, and those in which two values differ
    pub panels: Vec<Panel>,
}

/// The figure: loss or accuracy, dead experts and the largest load of each arm, and below them the curve over the
/// arms that differ in one number, if there is one.
pub fn figure(report: &AblationReport, config: &FigureConfig) -> String {
    let panels = Panel::chosen(&config.panels, report);
    let left = MARGIN + longest_label(report) + 8.0;
    let n = panels.len() as f64;
    let width = left + n * PANEL + (n - 1.0) * GAP + MARGIN;
    let (mut body, mut height) = dots(report, &panels, left);
    if let Some(sweep) = &report.sweep {
        let (curves, bottom) = curves(report, sweep, &panels, left, height + 12.0);
        body.push_str(&curves);
        height = bottom;
    }
    body.push_str(&format!(
        "<text class=\"small\" x=\"{MARGIN}\" y=\"{:.1}\">{}</text>\n",
        height + 8.0,
        caption(report)
    ));
    height += 20.0;
    if let Some(title) = &config.title {
        body = format!(
            "<text class=\"title\" x=\"{MARGIN}\" y=\"{:.1}\">{}</text>\n\
             <g transform=\"translate(0 {TITLE})\">\n{body}</g>\n",
            MARGIN + 8.0,
            escape(title)
        );
        height += TITLE;
    }
    let name = config.title.as_deref();
    let name = escape(name.unwrap_or("Each arm and each of its seeds"));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ablation\" role=\"img\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <title>{name}</title>\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n"
    )
}

/// The meaning of the marks.
fn caption(report: &AblationReport) -> String {
    let sizes = report.arms.iter().map(|arm| arm.seeds.len());
    let least = sizes.clone().min().unwrap_or(0);
    let most = sizes.max().unwrap_or(0);
    if most == 1 {
        return "dot: 1 seed".to_owned();
    }
    let n = if least == most {
        most.to_string()
    } else {
        format!("{least} to {most}")
    };
    let band = if report.sweep.is_some() {
        "line, band: sd"
    } else {
        "line: sd"
    };
    format!("dot: mean; {band}; pale: seeds; {n} seeds")
}

const STYLE: &str = "\
.ablation .paper { fill: #ffffff; }
.ablation text { fill: #1a1a1a; font: 12px sans-serif; }
.ablation .small { font-size: 11px; fill: #5c5c5c; }
.ablation .title { font-weight: bold; }
.ablation .right { text-anchor: end; }
.ablation .middle { text-anchor: middle; }
.ablation .grid { stroke: #e3e3e3; }
.ablation .arm { stroke: #0072b2; fill: #0072b2; }
.ablation .baseline { stroke: #767676; fill: #767676; }
@media (prefers-color-scheme: dark) {
  .ablation .paper { fill: #161616; }
  .ablation text { fill: #e8e8e8; }
  .ablation .small { fill: #a8a8a8; }
  .ablation .grid { stroke: #3a3a3a; }
  .ablation .arm { stroke: #56b4e9; fill: #56b4e9; }
  .ablation .baseline { stroke: #9c9c9c; fill: #9c9c9c; }
}
.ablation .seed { stroke: none; fill-opacity: 0.35; }
.ablation .spread { stroke-width: 2; }
.ablation .band { stroke: none; fill-opacity: 0.18; }
.ablation .line { stroke-width: 2; fill: none; }
";

/// The finite values of an arm's seeds, shares in percent.
fn values(arm: &ArmReport, metric: Metric) -> Vec<f64> {
    let scale = match metric {
        Metric::Accuracy => Merit::Accuracy.scale(),
        _ => 1.0,
    };
    let values = arm.seeds.iter().map(|seed| scale * metric.of(seed));
    values.filter(|x| x.is_finite()).collect()
}

/// The width of the longest label, about.
fn longest_label(report: &AblationReport) -> f64 {
    let wide = |c: char| if "mwMW@%".contains(c) { 1.5 } else { 1.0 };
    let widths = report
        .arms
        .iter()
        .map(|arm| CHARACTER * arm.label.chars().map(wide).sum::<f64>());
    widths.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moe_lab::ablate::{AblationConfig, ArmResult, SeedResult, Sweep, SweepLine, SweepPoint};

    fn report() -> AblationReport {
        let arm = |label: &str, losses: [f64; 2]| ArmResult {
            label: label.into(),
            evaluation: None,
            seeds: (0..)
                .zip(losses)
                .map(|(seed, loss)| SeedResult {
                    max_vio: 0.5,
                    entropy: 0.9,
                    dead_experts: 2.0,
                    ..SeedResult::of_loss(seed, loss)
                })
                .collect(),
        };
        let arms = [
            arm("a<b", [2.0, 2.2]),
            arm("c", [2.5, f64::NAN]),
            arm("d", [f64::NAN; 2]),
        ];
        AblationReport::new(&arms, &AblationConfig::default()).unwrap()
    }

    fn drawn(report: &AblationReport) -> String {
        let config = FigureConfig {
            panels: vec![Panel::Loss, Panel::DeadExperts, Panel::MaxVio],
            ..FigureConfig::default()
        };
        figure(report, &config)
    }

    #[test]
    fn panels_without_variation_are_left_out_unless_asked_for() {
        let figure = figure(&report(), &FigureConfig::default());
        assert!(figure.contains("loss (bits/byte)"));
        assert!(!figure.contains("dead experts") && !figure.contains("MaxVio"));
        // 16 + 3 letters of 6.6 + 8 + one panel of 220 + 16
        assert!(figure.contains("width=\"280\""), "{figure}");
        assert!(drawn(&report()).contains("dead experts"));

        let mut varied = report();
        varied.arms[0].seeds[0].max_vio = 0.75;
        let figure = super::figure(&varied, &FigureConfig::default());
        assert!(figure.contains("MaxVio") && !figure.contains("dead experts"));
    }

    #[test]
    fn marks_direction_and_title_are_said() {
        let config = FigureConfig {
            title: Some("a < b".into()),
            panels: Vec::new(),
        };
        let figure = figure(&report(), &config);
        assert!(figure.contains(">dot: mean; line: sd; pale: seeds; 2 seeds</text>"));
        assert!(figure.contains(">\u{2190} lower is better</text>"));
        assert!(figure.contains("<title>a &lt; b</title>"));
        assert!(figure.contains(">a &lt; b</text>"));
        let mut accuracy = report();
        accuracy.goal = moe_lab::stats::Goal::Higher;
        assert!(drawn(&accuracy).contains(">higher is better \u{2192}</text>"));
    }

    #[test]
    fn each_arm_has_its_label_and_its_seeds() {
        let figure = drawn(&report());
        assert!(figure.contains(">a&lt;b</text>") && figure.contains(">c</text>"));
        // loss: 2 + 1 finite seeds; dead experts and MaxVio: 2 seeds of 3 arms each
        assert_eq!(figure.matches("<circle class=\"seed").count(), 3 + 6 + 6);
        assert!(!figure.contains("NaN"), "{figure}");
    }

    #[test]
    fn a_sweep_adds_a_curve() {
        let mut report = report();
        let point = |value, label: &str| SweepPoint {
            value,
            label: label.into(),
        };
        report.sweep = Some(Sweep {
            key: "balance.load_balance".into(),
            lines: vec![SweepLine {
                label: "a<b".into(),
                points: vec![point(0.0, "a<b"), point(0.01, "c"), point(1.0, "d")],
            }],
        });
        let figure = drawn(&report);
        assert!(figure.contains("balance.load_balance"));
        assert!(figure.contains(">0.01</text>"), "{figure}");
        assert_eq!(figure.matches("<polyline").count(), 3);
        assert!(!figure.contains("NaN"), "{figure}");
    }

    #[test]
    fn several_curves_have_names() {
        let mut report = report();
        let line = |name: &str, values: [f64; 2]| SweepLine {
            label: name.into(),
            points: values
                .map(|value| SweepPoint {
                    value,
                    label: "a<b".into(),
                })
                .to_vec(),
        };
        report.sweep = Some(Sweep {
            key: "router.capacity_factor".into(),
            lines: vec![line("<one>", [0.5, 1.0]), line("two", [0.25, 0.5])],
        });
        let figure = drawn(&report);
        // two curves for each of three metrics, over three different values
        assert_eq!(figure.matches("<polyline").count(), 6);
        assert_eq!(figure.matches(">&lt;one&gt;</text>").count(), 1);
        assert_eq!(figure.matches(">0.25</text>").count(), 3);
        assert!(
            figure.contains("class=\"baseline line\"") && figure.contains("class=\"arm line\"")
        );
    }

    #[test]
    fn the_figure_stands_alone() {
        let figure = drawn(&report()).replace("http://www.w3.org/2000/svg", "");
        for part in ["<script", "http", "url(", "@import", "href"] {
            assert!(!figure.contains(part), "{part}");
        }
        assert!(figure.contains("prefers-color-scheme: dark"));
    }
}
