//! The experts of a text as a picture (SVG): no script, no link, light and dark.

use super::trace::{Trace, expert_name};
use crate::svg::escape;
use crate::{EXPERT_COLOURS, ExpertStyle, visible};
use std::fmt::Write;

const COLUMNS: usize = 84;
const CELL: f64 = 9.0;
const LINE: f64 = 22.0;
const MARGIN: f64 = 12.0;

/// The picture: each token on the colour of its first expert in `layer`, under a legend.
pub fn picture(trace: &Trace, layer: usize) -> String {
    let mut canvas = Canvas::default();
    for share in trace.shares(layer) {
        let label = format!(" {} {} ", share.name(), share.percent());
        if canvas.column + label.chars().count() > COLUMNS {
            canvas.new_line();
        }
        canvas.write(&label, &share.name(), "");
        canvas.column += 1;
    }
    canvas.new_line();
    canvas.new_line();
    for (i, piece) in trace.pieces.iter().enumerate() {
        let weight = if i < trace.n_prompt { " prompt" } else { "" };
        canvas.write(
            &visible(&piece.text),
            &expert_name(piece.experts[layer]),
            weight,
        );
    }
    canvas.finish(trace.n_experts)
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

    /// Writes text in an expert's colour, broken at line ends.
    fn write(&mut self, text: &str, expert: &str, weight: &str) {
        let mut run = String::new();
        for c in text.chars() {
            if c != '\n' && self.column + run.chars().count() < COLUMNS {
                run.push(c);
                continue;
            }
            self.cells(&std::mem::take(&mut run), expert, weight);
            self.new_line();
            if c != '\n' {
                run.push(c);
            }
        }
        self.cells(&run, expert, weight);
    }

    fn cells(&mut self, run: &str, expert: &str, weight: &str) {
        let n = run.chars().count();
        if n == 0 {
            return;
        }
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
            escape(run)
        );
        self.column += n;
    }

    fn finish(self, n_experts: usize) -> String {
        let width = 2.0 * MARGIN + CELL * COLUMNS as f64;
        let height = 2.0 * MARGIN + LINE * (self.line + 1) as f64;
        let experts: String = (0..n_experts).map(style).collect();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\">\n<style>\n.paper {{ fill: #ffffff; }}\n\
             .ink {{ fill: #1a1a1a; font: 15px monospace; white-space: pre; }}\n\
             .prompt {{ font-weight: bold; }}\n.dropped {{ fill: none; }}\n{experts}\
             @media (prefers-color-scheme: dark) {{\n  .paper {{ fill: #161616; }}\n  \
             .ink {{ fill: #e8e8e8; }}\n}}\n</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
            self.body
        )
    }
}

/// Each further eight experts are drawn fainter.
fn style(expert: usize) -> String {
    let ExpertStyle { colour, cycle } = ExpertStyle::of(expert);
    let opacity = 0.55 / (cycle + 1) as f64;
    format!(
        ".e{expert} {{ fill: #{:06x}; fill-opacity: {opacity:.2}; }}\n",
        EXPERT_COLOURS[colour].rgb
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::trace::testing::trace;

    #[test]
    fn tokens_stand_on_their_experts_colour() {
        let picture = picture(&trace(), 0);
        assert!(picture.contains("<rect class=\"e0\""));
        assert!(picture.contains("textLength=\"9\">&lt;</text>"));
        assert!(picture.contains(".e1 { fill: #56b4e9; fill-opacity: 0.55; }"));
    }

    #[test]
    fn the_picture_stands_alone() {
        let picture = picture(&trace(), 0).replace("http://www.w3.org/2000/svg", "");
        for part in ["<script", "http", "url(", "@import", "href"] {
            assert!(!picture.contains(part), "{part}");
        }
        assert!(picture.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn long_tokens_break_at_the_line_end() {
        let mut canvas = Canvas::default();
        canvas.write(&"a".repeat(COLUMNS + 3), "e0", "");
        assert_eq!((canvas.line, canvas.column), (1, 3));
        canvas.write("\nb", "e0", "");
        assert_eq!((canvas.line, canvas.column), (2, 1));
    }
}
