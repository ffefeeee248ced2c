//! The experts of a text on a terminal, or in brackets where there is no colour.

use super::Trace;
use super::trace::expert_name;
use crate::{ExpertStyle, visible};

/// Each token in the colour of its first expert in `layer`.
pub fn coloured(trace: &Trace, layer: usize) -> String {
    by_expert(trace, layer, |expert, text| match expert {
        Some(expert) => ExpertStyle::of(expert).paint(&visible(text)),
        None => visible(text),
    })
}

/// Neighbouring tokens of one expert in brackets after its name: `e3[the cat]e1[ sat]`.
pub fn bracketed(trace: &Trace, layer: usize) -> String {
    by_expert(trace, layer, |expert, text| {
        format!("{}[{}]", expert_name(expert), visible(text))
    })
}

/// One line an expert: its name, in its colour, and its share of the tokens.
pub fn legend(trace: &Trace, layer: usize, has_colour: bool) -> String {
    let line = |share: super::trace::Share| {
        let name = format!("{:<8}", share.name());
        let name = match share.expert {
            Some(expert) if has_colour => ExpertStyle::of(expert).paint(&name),
            _ => name,
        };
        format!("{name}{:>7}", share.percent())
    };
    let lines: Vec<String> = trace.shares(layer).into_iter().map(line).collect();
    format!(
        "first expert of each token in layer {layer} (layers 0 to {})\n{}",
        trace.n_layers - 1,
        lines.join("\n")
    )
}

/// Joins the texts of neighbouring tokens of one expert.
fn by_expert(trace: &Trace, layer: usize, show: impl Fn(Option<usize>, &str) -> String) -> String {
    let shown = trace.pieces.iter().filter(|piece| !piece.text.is_empty());
    let mut runs: Vec<(Option<usize>, String)> = Vec::new();
    for piece in shown {
        let expert = piece.experts[layer];
        match runs.last_mut() {
            Some((last, text)) if *last == expert => text.push_str(&piece.text),
            _ => runs.push((expert, piece.text.clone())),
        }
    }
    runs.iter()
        .map(|(expert, text)| show(*expert, text))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::trace::testing::trace;

    #[test]
    fn a_character_has_the_colour_of_its_last_token() {
        // `<` is e0's, é ends with e2, `a` is e2's
        assert_eq!(
            coloured(&trace(), 0),
            "\x1b[38;5;214m<\x1b[0m\x1b[38;5;36méa\x1b[0m"
        );
    }

    #[test]
    fn without_colour_there_are_brackets() {
        assert_eq!(bracketed(&trace(), 0), "e0[<]e2[éa]");
        assert_eq!(bracketed(&trace(), 1), "e1[<é]dropped[a]");
    }

    #[test]
    fn the_legend_names_every_expert() {
        let expected = "\
first expert of each token in layer 1 (layers 0 to 1)
e0        0.0 %
e1       75.0 %
e2        0.0 %
dropped  25.0 %";
        assert_eq!(legend(&trace(), 1, false), expected);
    }
}
