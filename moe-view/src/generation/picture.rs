//! The experts of a text as a picture (SVG): no script, no link, light and dark.

use super::trace::{Trace, expert_name};
use crate::svg::escape;
use crate::{EXPERT_COLOURS, ExpertColour, ExpertStyle, visible};
use std::fmt::Write;

const COLUMNS: usize = 84;
const CELL: f64 = 9.0;
const LINE: f64 = 22.0;
const MARGIN: f64 = 12.0;

/// The picture: each token on the colour of its first expert in `layer`, under a caption with the model's
/// name and a legend.
pub fn picture(trace: &Trace, layer: usize, name: &str) -> String {
    let n_layers = trace.n_layers;
    let what = format!("first expert of each token, layer {layer} of {n_layers} (counted from 0)");
    let mut canvas = Canvas::default();
    canvas.words("name", name);
    canvas.words("what", &format!("{what}; the prompt is bold"));
    canvas.new_line();
    legend(&mut canvas, trace, layer);
    canvas.new_line();
    for line in lines(trace) {
        for glyphs in line.chunk_by(|a, b| a.token == b.token) {
            let token = glyphs[0].token;
            let weight = if token < trace.n_prompt {
                " prompt"
            } else {
                ""
            };
            let text: String = glyphs.iter().map(|glyph| glyph.character).collect();
            let expert = expert_name(trace.pieces[token].experts[layer]);
            canvas.cells(&text, &expert, weight);
        }
        canvas.new_line();
    }
    canvas.finish(&format!("{name}: {what}"), trace.n_experts)
}

/// Each expert with its share, in rows of equal columns.
fn legend(canvas: &mut Canvas, trace: &Trace, layer: usize) {
    let shares = trace.shares(layer);
    let label = |share: &super::trace::Share| format!(" {} {} ", share.name(), share.percent());
    let width = shares.iter().map(|share| label(share).chars().count());
    let width = width.max().unwrap_or(0);
    let per_row = per_row(shares.len(), COLUMNS / (width + 1));
    for row in shares.chunks(per_row) {
        for (i, share) in row.iter().enumerate() {
            canvas.column = i * (width + 1);
            canvas.cells(&format!("{:<width$}", label(share)), &share.name(), "");
        }
        canvas.new_line();
    }
}

/// The items of a row, at most `most`: as few rows as leave none alone in the last, and of those the most even.
fn per_row(n: usize, most: usize) -> usize {
    let most = most.clamp(1, n.max(1));
    let last = |per_row: usize| (n + per_row - 1) % per_row + 1;
    (most.div_ceil(2)..=most)
        .min_by_key(|&per_row| {
            let is_orphan = last(per_row) == 1 && n > per_row;
            (is_orphan, n.div_ceil(per_row), per_row - last(per_row))
        })
        .unwrap_or(most)
}

/// A character of the text and the token that it belongs to.
#[derive(Debug, Clone, Copy)]
struct Glyph {
    character: char,
    token: usize,
}

/// The text in lines of at most [`COLUMNS`] characters.
fn lines(trace: &Trace) -> Vec<Vec<Glyph>> {
    let mut glyphs = Vec::new();
    for (token, piece) in trace.pieces.iter().enumerate() {
        let text = visible(&piece.text);
        glyphs.extend(text.chars().map(|character| Glyph { character, token }));
    }
    let paragraphs = glyphs.split(|glyph| glyph.character == '\n');
    paragraphs.flat_map(wrap).collect()
}

/// Breaks a line at spaces; within a word only if it is longer than a line.
fn wrap(mut rest: &[Glyph]) -> Vec<Vec<Glyph>> {
    let mut lines = Vec::new();
    while rest.len() > COLUMNS {
        let is_space = |glyph: &Glyph| glyph.character == ' ';
        let end = match rest[..=COLUMNS].iter().rposition(is_space) {
            // the space that would hang over the end is left out
            Some(COLUMNS) => [COLUMNS, COLUMNS + 1],
            Some(space) => [space + 1; 2],
            None => [COLUMNS; 2],
        };
        lines.push(rest[..end[0]].to_vec());
        rest = &rest[end[1]..];
    }
    lines.push(rest.to_vec());
    lines
}

/// Cells of one character in lines of [`COLUMNS`].
#[derive(Default)]
struct Canvas {
    body: String,
    column: usize,
    line: usize,
}

impl Canvas {
    fn new_line(&mut self) {
        self.column = 0;
        self.line += 1;
    }

    /// A line of words without a ground.
    fn words(&mut self, class: &str, text: &str) {
        let y = MARGIN + LINE * (self.line as f64 + 0.72);
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" x=\"{MARGIN}\" y=\"{y}\">{}</text>",
            escape(text)
        );
        self.new_line();
    }

    /// Text of one line on an expert's colour.
    fn cells(&mut self, text: &str, expert: &str, weight: &str) {
        let n = text.chars().count();
        let (x, y) = (
            MARGIN + CELL * self.column as f64,
            MARGIN + LINE * self.line as f64,
        );
        let width = CELL * n as f64;
        let _ = writeln!(
            self.body,
            "<rect class=\"{expert}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{LINE}\"/>\
             <text class=\"ink{weight}\" x=\"{x}\" y=\"{}\" textLength=\"{width}\">{}</text>",
            y + 0.72 * LINE,
            escape(text)
        );
        self.column += n;
    }

    fn finish(self, title: &str, n_experts: usize) -> String {
        let width = 2.0 * MARGIN + CELL * COLUMNS as f64;
        let height = 2.0 * MARGIN + LINE * self.line as f64;
        let styles = |of: fn(&ExpertColour) -> u32, indent: &str| -> String {
            (0..n_experts).map(|e| style(e, of, indent)).collect()
        };
        let (light, dark) = (styles(|c| c.light, ""), styles(|c| c.dark, "  "));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"100%\" \
             style=\"max-width: {width}px\" xml:space=\"preserve\" role=\"img\">\n<title>{}</title>\n<style>\n\
             .paper {{ fill: #ffffff; }}\n\
             text {{ fill: #1a1a1a; }}\n\
             .name {{ font: bold 14px sans-serif; }}\n\
             .what {{ font: 13px sans-serif; }}\n\
             .ink {{ font: 15px monospace; white-space: pre; }}\n\
             .prompt {{ font-weight: bold; }}\n.dropped {{ fill: none; }}\n{light}\
             @media (prefers-color-scheme: dark) {{\n  .paper {{ fill: #161616; }}\n  \
             text {{ fill: #f0f0f0; }}\n{dark}}}\n</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
            escape(title),
            self.body
        )
    }
}

/// Each further eight experts are drawn fainter.
fn style(expert: usize, of: fn(&ExpertColour) -> u32, indent: &str) -> String {
    let ExpertStyle { colour, cycle } = ExpertStyle::of(expert);
    let opacity = match cycle {
        0 => String::new(),
        _ => format!(" fill-opacity: {:.2};", 1.0 / (cycle + 1) as f64),
    };
    let rgb = of(&EXPERT_COLOURS[colour]);
    format!("{indent}.e{expert} {{ fill: #{rgb:06x};{opacity} }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::trace::Piece;
    use crate::generation::trace::testing::trace;

    /// The lines of a text, a token a character.
    fn wrapped(text: &str) -> Vec<String> {
        let piece = |character: char| Piece {
            id: 0,
            text: character.into(),
            experts: vec![Some(0), Some(0)],
        };
        let mut trace = trace();
        trace.pieces = text.chars().map(piece).collect();
        let line = |line: Vec<Glyph>| line.iter().map(|glyph| glyph.character).collect();
        lines(&trace).into_iter().map(line).collect()
    }

    #[test]
    fn tokens_stand_on_their_experts_colour_under_a_caption() {
        let picture = picture(&trace(), 0, "a & b");
        assert!(picture.contains("<rect class=\"e0\""));
        assert!(picture.contains("textLength=\"9\">&lt;</text>"));
        assert!(picture.contains("\n.e1 { fill: #a9daf5; }"));
        let what = "first expert of each token, layer 0 of 2 (counted from 0)";
        assert!(picture.contains(&format!("<title>a &amp; b: {what}</title>")));
        assert!(picture.contains(">a &amp; b</text>"));
        assert!(picture.contains(&format!(">{what}; the prompt is bold</text>")));
        assert!(picture.contains("viewBox=\"0 0 780 ") && picture.contains(" width=\"100%\""));
    }

    #[test]
    fn the_picture_stands_alone() {
        let picture = picture(&trace(), 0, "m").replace("http://www.w3.org/2000/svg", "");
        for part in ["<script", "http", "url(", "@import", "href"] {
            assert!(!picture.contains(part), "{part}");
        }
        assert!(picture.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn lines_break_at_spaces_and_only_words_longer_than_a_line_within() {
        let word = "a".repeat(COLUMNS - 10);
        let text = format!("{word} twelve chars\n\nb");
        assert_eq!(
            wrapped(&text),
            [
                format!("{word} twelve "),
                "chars".into(),
                "".into(),
                "b".into()
            ]
        );
        let full = "a".repeat(COLUMNS);
        assert_eq!(wrapped(&format!("{full} b")), [full.clone(), "b".into()]);
        assert_eq!(
            wrapped(&format!("x {full}bc")),
            ["x ".to_owned(), full, "bc".into()]
        );
    }

    #[test]
    fn no_expert_stands_alone_in_the_last_row_of_the_legend() {
        for (n, most, expected) in [
            (8, 7, 4),
            (8, 9, 8),
            (9, 7, 5),
            (64, 7, 6),
            (3, 7, 3),
            (1, 7, 1),
        ] {
            assert_eq!(per_row(n, most), expected, "{n} of at most {most}");
        }
    }

    #[test]
    fn neighbouring_hues_differ_in_lightness() {
        let luma = |rgb: u32| {
            let [_, r, g, b] = rgb.to_be_bytes().map(f64::from);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        // those that look alike without: the oranges, the blues, and red and pink
        for (a, b) in [(0, 5), (0, 3), (3, 5), (1, 4), (5, 6)] {
            for of in [|c: &ExpertColour| c.light, |c: &ExpertColour| c.dark] {
                let [a, b] = [a, b].map(|e| luma(of(&EXPERT_COLOURS[e])));
                assert!((a - b).abs() > 20.0, "{a} and {b}");
            }
        }
    }
}
