//! A routing as a picture (SVG): tokens across, experts down, loads at the right. No script, no link,
//! light and dark.

use super::canvas::{Canvas, Look};
use super::cells::{OpacityScale, cells};
use super::layout::{CELL, COLUMN, Layout, MARGIN, TOP};
use super::loads::Loads;
use moe_router::Routing;
use moe_router::metrics::{drop_rate, max_vio, mean_k};

/// The width of a small character, about.
const CHARACTER: usize = 6;
const LEGEND_GAP: usize = 18;

/// Words and colours around the picture.
#[derive(Debug, Clone)]
pub struct Caption<'a> {
    /// The router's name.
    pub name: &'a str,
    /// The rule, in one line.
    pub rule: &'a str,
    /// The scene it is shown with.
    pub scene: &'a str,
    /// The colour of kept assignments, red, green and blue.
    pub accent: u32,
    /// A letter a token, which stands above it.
    pub letters: &'a str,
}

/// The picture of a routing.
///
/// A kept assignment is filled, as opaque as its weight is large in comparison with the largest; a
/// dropped one is an outline. Of a soft plan it shows the combine mass of each expert's slots, from the
/// smallest to the largest. A bar at the right is an expert's load in one sequence.
pub fn figure(routing: &Routing, caption: &Caption) -> String {
    let layout = Layout::of(routing);
    let cells = cells(routing);
    let loads = Loads::of(&cells, &layout);
    let mut canvas = Canvas::default();
    canvas.text("name", [MARGIN, 28], caption.name);
    canvas.text("", [MARGIN, 48], caption.rule);
    frame(&mut canvas, &layout, caption.letters);
    let scale = OpacityScale::of(routing, &cells);
    for cell in &cells {
        let corner = layout.corner(cell.token, cell.expert);
        if cell.kept {
            canvas.rect(scale.look(cell.weight), corner, CELL);
        } else {
            // the stroke is centred on the path
            canvas.rect(Look::Outlined, corner, [CELL[0] - 1, CELL[1] - 1]);
        }
    }
    loads.draw(&mut canvas, &layout);
    let numbers = numbers(routing, &scale, caption.scene);
    canvas.text("", [MARGIN, layout.bottom() + 42], &numbers);
    let right = legend(&mut canvas, loads.has_capacity(), layout.bottom() + 66);
    let [width, height] = layout.size();
    svg(canvas, [width.max(right + MARGIN), height + 24], caption)
}

/// Names, letters, and the ground that cells stand on.
fn frame(canvas: &mut Canvas, layout: &Layout, letters: &str) {
    for expert in 0..layout.n_experts {
        let name = if expert < layout.n_computed {
            format!("expert {expert}")
        } else {
            format!("free {expert}")
        };
        canvas.text("small", [MARGIN, layout.row(expert) + 12], &name);
    }
    for (token, letter) in letters.chars().enumerate() {
        let x = layout.column(token) + CELL[0] / 2;
        canvas.text("letter", [x, TOP - 6], &letter.to_string());
    }
    for group in 0..layout.n_groups() {
        let x = layout.column(group * layout.group_size);
        let width = layout.group_size * COLUMN - (COLUMN - CELL[0]);
        for expert in 0..layout.n_experts {
            let corner = [x, layout.row(expert)];
            canvas.rect(Look::Ground, corner, [width, CELL[1]]);
        }
        let name = format!("sequence {group}");
        canvas.text("small", [x, layout.bottom() + 14], &name);
    }
}

fn numbers(routing: &Routing, scale: &OpacityScale, scene: &str) -> String {
    let load = routing.load();
    format!(
        "mean k {:.2} \u{b7} dropped {:.1} % \u{b7} MaxVio {:.2} \u{b7} {} \u{b7} {scene}",
        mean_k(&load),
        100.0 * drop_rate(&load),
        max_vio(&load),
        scale.text()
    )
}

/// Writes what the marks mean in a row on the base line `y`; returns where it ends.
fn legend(canvas: &mut Canvas, has_dropped: bool, y: usize) -> usize {
    let corner = |x: usize| [x, y - 12];
    let mut x = MARGIN;
    let mut say = |canvas: &mut Canvas, width: usize, words: &str| {
        canvas.text("small", [x + width + 6, y], words);
        let at = x;
        x += width + 6 + words.chars().count() * CHARACTER + LEGEND_GAP;
        at
    };
    let at = say(canvas, 34, "kept: the darker, the larger its weight");
    for (i, opacity) in [10, 55, 100].into_iter().enumerate() {
        canvas.rect(Look::Filled(opacity), corner(at + 12 * i), CELL);
    }
    if has_dropped {
        let at = say(canvas, CELL[0], "dropped");
        canvas.rect(Look::Outlined, corner(at), [CELL[0] - 1, CELL[1] - 1]);
    }
    let at = say(canvas, 24, "letters: the subject of a token");
    for (i, letter) in ["A", "B"].into_iter().enumerate() {
        canvas.text("letter", [at + 6 + 12 * i, y - 1], letter);
    }
    let at = say(canvas, 1, "thin line: mean load asked for");
    canvas.rect(Look::Faint, corner(at), [1, CELL[1]]);
    if has_dropped {
        let at = say(canvas, 2, "thick line: capacity");
        canvas.rect(Look::Line, corner(at), [2, CELL[1]]);
    }
    x - LEGEND_GAP
}

fn svg(canvas: Canvas, [width, height]: [usize; 2], caption: &Caption) -> String {
    let (name, accent) = (caption.name, caption.accent);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>Which token goes to which expert: {name}</title>\n\
         <style>\n.on {{ fill: #{accent:06x}; }}\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
        canvas.finish()
    )
}

const STYLE: &str = "\
.paper { fill: #ffffff; }
.ground { fill: #f3f3f3; }
.off { fill: none; stroke: #767676; transform: translate(.5px, .5px); }
.line { fill: #1a1a1a; }
.faint { fill: #9c9c9c; }
text { fill: #1a1a1a; font: 13px sans-serif; }
.name { font: bold 16px monospace; }
.small { font-size: 11px; fill: #5c5c5c; }
.letter { font: 9px monospace; fill: #5c5c5c; text-anchor: middle; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #161616; }
  .ground { fill: #262626; }
  .off { stroke: #9c9c9c; }
  .line { fill: #e8e8e8; }
  .faint { fill: #767676; }
  text { fill: #e8e8e8; }
  .small, .letter { fill: #a8a8a8; }
}
";

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};
    use moe_router::{Assignments, SoftPlan};

    const CAPTION: Caption = Caption {
        name: "own",
        rule: "a<b",
        scene: "a training step",
        accent: 0x0072B2,
        letters: "ABAB",
    };

    fn tensor<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<D> {
        Tensor::<1>::from_floats(values, &Device::flex()).reshape(shape)
    }

    /// Two sequences of two tokens: expert 0 takes one of each and drops one of the second.
    fn sparse() -> Routing {
        let mut assignments = Assignments::default();
        for (token, expert) in [(0, 0), (1, 1), (2, 0), (3, 0)] {
            assignments.push(token, expert);
        }
        assignments.drop_assignment(3);
        let scores = tensor(&[0.5; 8], [4, 2]);
        let weights = tensor(&[0.8, 0.4, 0.8, 0.9], [4]);
        Routing::sparse(assignments, weights, scores.clone(), scores).groups(2)
    }

    #[test]
    fn kept_is_filled_by_weight_and_dropped_outlined() {
        let figure = figure(&sparse(), &CAPTION);
        // columns begin at 14 + 62, the second sequence at 76 + 2 * 11 + 14 = 112
        assert!(figure.contains("<path class=\"on\" d=\"M76 74h10v16h-10zM112 74h10v16h-10z"));
        // half of the largest: 10 + 5 * 9 = 55 per cent, at token 1 and expert 1
        assert!(figure.contains("<path class=\"on\" fill-opacity=\".55\" d=\"M87 93h10v16h-10z"));
        assert!(figure.contains("<path class=\"off\" d=\"M123 74h9v15h-9z"));
    }

    #[test]
    fn the_capacity_is_what_a_full_expert_takes() {
        let figure = figure(&sparse(), &CAPTION);
        // 4 asked of 2 experts in 2 sequences; the largest load asked is 2: a bar of 1 has half of 170
        assert!(figure.contains(">mean asked for 1.0, capacity 1</text>"));
        let bars = 14 + 62 + 4 * 11 + 14 + 14;
        assert!(figure.contains(&format!(
            "<path class=\"line\" d=\"M{} 74h2v38h-2z",
            bars + 85
        )));
        // 3 of 4 tokens; 1 of 4 dropped; 3 asked for expert 0 where 2 would be fair: 3 / 2 - 1
        assert!(figure.contains("mean k 0.75 \u{b7} dropped 25.0 % \u{b7} MaxVio 0.50"));
        assert!(figure.contains("largest weight 0.80"));
    }

    #[test]
    fn a_map_goes_from_its_smallest_to_its_largest() {
        // one sequence of two tokens, two experts with two slots each: masses 0.2, 0.8 and 0.5, 0.5
        let map = tensor(&[0.1, 0.1, 0.4, 0.4, 0.25, 0.25, 0.25, 0.25], [1, 2, 4]);
        let plan = SoftPlan {
            dispatch: map.clone(),
            combine: map,
        };
        let scores = tensor(&[0.2, 0.8, 0.5, 0.5], [2, 2]);
        let figure = figure(&Routing::soft(plan, scores.clone(), scores), &CAPTION);
        assert!(figure.contains("fill-opacity=\".10\" d=\"M76 74h"));
        assert!(figure.contains("fill-opacity=\".55\" d=\"M87 74h10v16h-10zM87 93h"));
        assert!(figure.contains("weights from 0.20 to 0.80"));
        assert!(!figure.contains("capacity") && !figure.contains(">dropped<"));
    }

    #[test]
    fn a_legend_says_what_the_marks_mean() {
        let figure = figure(&sparse(), &CAPTION);
        for words in [
            "kept: the darker, the larger its weight",
            "dropped",
            "letters: the subject of a token",
            "thin line: mean load asked for",
            "thick line: capacity",
        ] {
            assert!(figure.contains(&format!(">{words}</text>")), "{words}");
        }
    }

    #[test]
    fn the_figure_stands_alone() {
        let figure = figure(&sparse(), &CAPTION).replace("http://www.w3.org/2000/svg", "");
        for part in ["<script", "http", "url(", "@import", "href"] {
            assert!(!figure.contains(part), "{part}");
        }
        assert!(figure.contains("prefers-color-scheme: dark"));
        assert!(figure.contains(".on { fill: #0072b2; }") && figure.contains("a&lt;b"));
    }
}
