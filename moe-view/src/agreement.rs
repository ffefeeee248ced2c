//! Tables and the figure of how far engines agree.

use super::svg::escape;
use super::{Align, columns, counted, paragraph, significant, thousands};
use moe_lab::agree::{Comparison, GapBin, LayerAgreement};
use moe_lab::trace::TraceAgreement;
use std::fmt::Write;

const HEADER: [&str; 11] = [
    "layer",
    "tokens",
    "elsewhere",
    "rounding",
    "earlier",
    "scores",
    "selection",
    "places",
    "scores differ",
    "median gap",
    "largest flipped",
];

/// What an engine does otherwise than the reference, as text.
pub fn agreement_text(found: &Comparison, reference: &str) -> String {
    let mut parts = vec![
        format!("{} beside {reference}", found.engine),
        layers(found),
        summary(found),
        verdict(found),
    ];
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// The same of two traces, which hold no outputs and no losses.
pub fn trace_agreement_text(found: &TraceAgreement) -> String {
    let comparison = &found.comparison;
    let mut parts = vec![
        format!("{} beside {}", comparison.engine, found.reference),
        layers(comparison),
        routers(found),
        verdict(comparison),
    ];
    if !found.weights_agree() {
        let tolerance = power(found.tolerance);
        parts.push(format!(
            "NOT EXPLAINED: weights of the same experts differ by more than {tolerance}"
        ));
    }
    parts.join("\n")
}

/// A row for each layer.
fn layers(found: &Comparison) -> String {
    let header = HEADER.map(str::to_owned).to_vec();
    let rows = found.layers.iter().map(cells);
    let rows: Vec<Vec<String>> = [header].into_iter().chain(rows).collect();
    columns(&rows, &[Align::Right; HEADER.len()])
}

/// The routers and tokens of two traces that differ, and their weights.
fn routers(found: &TraceAgreement) -> String {
    let share = |n: u64, all: u64| {
        let percent = 100.0 * n as f64 / all.max(1) as f64;
        let (n, all) = (thousands(n), thousands(all));
        format!("{n} of {all} ({} %)", significant(percent, 3))
    };
    let n_tokens = found.comparison.n_tokens as u64;
    // where a token asks for others, which a place that was given otherwise is not
    let layers = &found.comparison.layers;
    let first = layers.iter().find(|layer| layer.flipped > 0);
    let first = first.map_or(String::new(), |layer| {
        format!(", the first in layer {}", layer.layer)
    });
    let weights = match found.weights {
        Some(largest) => format!(
            "weights of the same experts differ by at most {}",
            power(largest)
        ),
        None => "one of the traces has no weights".to_owned(),
    };
    let alone = found.n_tokens.iter().max().unwrap_or(&0) - n_tokens;
    let left = match alone {
        0 => String::new(),
        n => format!("; {} were not compared", counted(n as usize, "token")),
    };
    paragraph(&format!(
        "routers that ask for other experts: {}; tokens that do in at least one layer: {}{first}; {weights}{left}",
        share(found.n_routers_flipped, found.n_routers),
        share(found.n_tokens_flipped, n_tokens),
    ))
}

/// The meaning of the columns.
pub fn agreement_notes() -> String {
    paragraph(
        "elsewhere: tokens that ask for other experts, by cause: rounding, of scores whose gap is smaller still; earlier, because \
         something that the token reads went elsewhere in an earlier layer; scores, which differ by more than rounding; selection, \
         where an engine does not take the best of its own scores, or gives places otherwise though all scores are the same. places: the same experts were asked for, and another token \
         took the place. scores differ: the largest difference of a score at tokens that read nothing that went elsewhere. gap: from \
         the last expert that was taken to the next. All three are shares of the token's largest score.",
    )
}

fn cells(layer: &LayerAgreement) -> Vec<String> {
    let count = |n: usize| thousands(n as u64);
    let share = |x: Option<f64>| x.map_or("–".to_owned(), power);
    let cause = |n: usize| {
        if layer.is_judged {
            count(n)
        } else {
            "–".to_owned()
        }
    };
    vec![
        layer.layer.to_string(),
        count(layer.n_tokens),
        count(layer.flipped),
        cause(layer.rounding),
        cause(layer.earlier),
        cause(layer.scores),
        cause(layer.selection),
        count(layer.places),
        share(layer.is_judged.then_some(layer.largest_difference)),
        share(layer.median_gap),
        share(layer.largest_gap_flipped),
    ]
}

/// A share that may be tiny: `2.8e-3`.
fn power(share: f64) -> String {
    if share == 0.0 {
        return "0".to_owned();
    }
    format!("{share:.1e}")
}

fn summary(found: &Comparison) -> String {
    let percent = |share: f64| format!("{} %", significant(100.0 * share, 3));
    let share = found.n_flipped as f64 / found.n_tokens.max(1) as f64;
    let first = match found.first_flip() {
        Some(layer) => format!(", the first in layer {layer}"),
        None => String::new(),
    };
    let mut text = format!(
        "{} of {} tokens ({}) go elsewhere in at least one layer{first}; outputs differ by at most {} of the largest; loss {} and {} \
         nats; the most likely answer is another at {} of the places",
        thousands(found.n_flipped as u64),
        thousands(found.n_tokens as u64),
        percent(share),
        power(found.outputs),
        significant(found.reference_loss, 6),
        significant(found.loss, 6),
        percent(found.best_differs),
    );
    if let Some(written) = found.text {
        let _ = write!(
            text,
            "; {} of {} tokens of greedy text are equal",
            written.n_equal, written.n_tokens
        );
    }
    paragraph(&text)
}

fn verdict(found: &Comparison) -> String {
    let sum = |of: fn(&LayerAgreement) -> usize| found.layers.iter().map(of).sum::<usize>();
    let (selection, apart) = (sum(|l| l.selection), sum(|l| l.apart));
    let mut faults = Vec::new();
    if selection > 0 {
        faults.push(format!(
            "{} of a selection that is not the best of its own scores",
            counted(selection, "token")
        ));
    }
    if apart > 0 {
        faults.push(format!(
            "{} whose scores differ by more than {:e}, which rounding does not do",
            counted(apart, "token"),
            found.rounding
        ));
    }
    if !faults.is_empty() {
        return paragraph(&format!("NOT EXPLAINED by rounding: {}", faults.join("; ")));
    }
    let unjudged = sum(|l| if l.is_judged { 0 } else { l.flipped });
    if unjudged > 0 {
        return format!(
            "{} of layers whose router does not rank experts by token: not judged",
            counted(unjudged, "flip")
        );
    }
    match sum(|l| l.flipped) {
        0 => "no token asks for other experts".to_owned(),
        _ => "rounding explains every flip".to_owned(),
    }
}

const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 246.0;

/// The share of tokens that flip over the gap of their scores, a bar a power of ten: those that nothing earlier made
/// flip, and on top of them those that follow an earlier flip.
pub fn agreement_svg(found: &Comparison, reference: &str) -> String {
    let title = escape(&format!(
        "{} beside {reference}: tokens that go elsewhere",
        found.engine
    ));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\">\n<title>{title}</title>\n<style>text{{font:12px sans-serif;fill:#333}}\
         .title{{font-size:14px;font-weight:bold}}.axis{{stroke:#888}}.grid{{stroke:#ddd}}.first{{fill:#0072b2}}.earlier{{fill:#b5d4e9}}\
         </style>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text class=\"title\" x=\"16\" y=\"24\">{title}</text>\n"
    );
    let _ = write!(
        svg,
        "<rect class=\"first\" x=\"{LEFT}\" y=\"36\" width=\"11\" height=\"11\"/><text x=\"{}\" y=\"46\">by its own scores</text>\n\
         <rect class=\"earlier\" x=\"{}\" y=\"36\" width=\"11\" height=\"11\"/><text x=\"{}\" y=\"46\">after an earlier flip</text>\n",
        LEFT + 17.0,
        LEFT + 150.0,
        LEFT + 167.0
    );
    let share = |n: usize, bin: &GapBin| n as f64 / bin.n_tokens.max(1) as f64;
    let shares = found
        .gaps
        .iter()
        .map(|bin| share(bin.flipped + bin.earlier, bin));
    let most = shares.fold(0.0, f64::max);
    let top = [0.001, 0.01, 0.1, 0.25, 0.5]
        .into_iter()
        .find(|top| most <= *top)
        .unwrap_or(1.0);
    axis(&mut svg, top);
    let step = (WIDTH - LEFT - 16.0) / found.gaps.len() as f64;
    for (i, bin) in found.gaps.iter().enumerate() {
        bar(&mut svg, bin, LEFT + i as f64 * step, step, top);
    }
    let _ = write!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">gap of the scores, from; below each the number of tokens</text>\n</svg>\n",
        (LEFT + WIDTH) / 2.0,
        HEIGHT - 8.0
    );
    svg
}

fn axis(svg: &mut String, top: f64) {
    for tick in [0.0, 0.5, 1.0] {
        let y = BOTTOM - tick * (BOTTOM - TOP);
        let _ = writeln!(
            svg,
            "<path class=\"{}\" d=\"M{LEFT} {y}H{}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{} %</text>",
            if tick == 0.0 { "axis" } else { "grid" },
            WIDTH - 16.0,
            LEFT - 6.0,
            y + 4.0,
            significant(100.0 * tick * top, 3)
        );
    }
}

fn bar(svg: &mut String, bin: &GapBin, x: f64, step: f64, top: f64) {
    let height = |n: usize| n as f64 / bin.n_tokens.max(1) as f64 / top * (BOTTOM - TOP);
    let mut y = BOTTOM;
    for (class, n) in [("first", bin.flipped), ("earlier", bin.earlier)] {
        y -= height(n);
        if n > 0 {
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{n} of {}</title></rect>",
                x + 4.0,
                step - 8.0,
                height(n).max(0.5),
                bin.n_tokens
            );
        }
    }
    let from = if bin.from == 0.0 {
        "0".to_owned()
    } else {
        format!("{:.0e}", bin.from)
    };
    let middle = x + step / 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"{middle:.1}\" y=\"{}\" text-anchor=\"middle\">{from}</text><text x=\"{middle:.1}\" y=\"{}\" \
         text-anchor=\"middle\">{}</text>",
        BOTTOM + 16.0,
        BOTTOM + 31.0,
        thousands(bin.n_tokens as u64)
    );
}
