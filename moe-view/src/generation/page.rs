//! The experts of a text as a stand-alone page: no script, no link, light and dark.

use super::trace::{Piece, Share, Trace, expert_name};
use crate::svg::escape;
use crate::{EXPERT_COLOURS, ExpertStyle, visible};

/// Marks of the second, third and fourth eight experts.
const BORDERS: [&str; 4] = ["none", "2px solid", "2px dashed", "4px double"];

/// The page; tokens are coloured by `layer`, their other experts are in their titles.
pub fn page(trace: &Trace, layer: usize, title: &str) -> String {
    let (prompt, text) = trace.pieces.split_at(trace.n_prompt);
    let spans = |pieces: &[Piece]| pieces.iter().map(|p| span(p, layer)).collect::<String>();
    let legend: String = trace.shares(layer).iter().map(legend_item).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p>Each token in the colour of its first expert in layer {layer} (layers 0 to {last}); \
         point at a token for the others. The prompt is <strong>bold</strong>.</p>\n\
         <ul>{legend}</ul>\n<pre><strong>{prompt}</strong>{text}</pre>\n</body>\n</html>\n",
        title = escape(title),
        style = style(trace.n_experts),
        last = trace.n_layers - 1,
        prompt = spans(prompt),
        text = spans(text),
    )
}

fn style(n_experts: usize) -> String {
    let experts = expert_styles(n_experts);
    format!(
        ":root {{ color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --tint: 55%; }}\n\
         @media (prefers-color-scheme: dark) {{\n  \
         :root {{ --ink: #e8e8e8; --paper: #161616; --tint: 40%; }}\n}}\n\
         body {{ color: var(--ink); background: var(--paper); font: 16px/1.6 sans-serif;\n  \
         max-width: 50em; margin: 2em auto; padding: 0 1em; }}\n\
         h1 {{ font-size: 1.2em; }}\n\
         ul {{ display: flex; flex-wrap: wrap; gap: 0.5em; padding: 0; list-style: none; }}\n\
         li {{ padding: 0 0.5em; }}\n\
         pre {{ font: 15px/1.7 monospace; white-space: pre-wrap; overflow-wrap: anywhere; }}\n\
         .dropped {{ text-decoration: line-through; }}\n{experts}"
    )
}

/// A rule of CSS for each expert's class; the page has `--tint` and `--ink`.
pub fn expert_styles(n_experts: usize) -> String {
    (0..n_experts).map(expert_style).collect()
}

fn expert_style(expert: usize) -> String {
    let ExpertStyle { colour, cycle } = ExpertStyle::of(expert);
    let [_, red, green, blue] = EXPERT_COLOURS[colour].rgb.to_be_bytes();
    let border = match BORDERS[cycle % BORDERS.len()] {
        "none" => String::new(),
        line => format!(" border-bottom: {line} var(--ink);"),
    };
    format!(".e{expert} {{ background: rgb({red} {green} {blue} / var(--tint));{border} }}\n")
}

fn legend_item(share: &Share) -> String {
    let name = share.name();
    format!("<li class=\"{name}\">{name} {}</li>", share.percent())
}

fn span(piece: &Piece, layer: usize) -> String {
    if piece.text.is_empty() {
        return String::new();
    }
    let experts = piece.experts.iter().enumerate();
    let title: Vec<String> = experts
        .map(|(layer, expert)| format!("layer {layer}: {}", expert_name(*expert)))
        .collect();
    format!(
        "<span class=\"{}\" title=\"{}\">{}</span>",
        expert_name(piece.experts[layer]),
        title.join(", "),
        escape(&visible(&piece.text))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::trace::testing::trace;

    #[test]
    fn the_text_is_escaped_marked_and_titled() {
        let page = page(&trace(), 0, "a & b");
        let expected = "<pre><strong><span class=\"e0\" title=\"layer 0: e0, layer 1: e1\">&lt;</span></strong>\
                        <span class=\"e2\" title=\"layer 0: e2, layer 1: e1\">é</span>\
                        <span class=\"e2\" title=\"layer 0: e2, layer 1: dropped\">a</span></pre>";
        assert!(page.contains(expected), "{page}");
        assert!(page.contains("<title>a &amp; b</title>"));
        assert!(page.contains("<li class=\"e2\">e2 50.0 %</li>"));
    }

    #[test]
    fn the_page_stands_alone() {
        let page = page(&trace(), 0, "text");
        for part in ["<script", "http", "url(", "@import", "src="] {
            assert!(!page.contains(part), "{part}");
        }
        assert!(page.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn experts_beyond_eight_have_a_border() {
        assert!(!expert_style(7).contains("border"));
        assert!(expert_style(8).contains("border-bottom: 2px solid"));
        assert!(expert_style(16).contains("border-bottom: 2px dashed"));
    }
}
