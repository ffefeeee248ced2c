//! Generated text, token by token.

use moe_models::{Drafts, NotFinite};
use serde::Serialize;

/// A token with its text and the expert that it went to first in each layer.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct Piece {
    /// The vocabulary id.
    pub id: u32,
    /// The characters that it completes: often none, where a character has several tokens.
    pub text: String,
    /// The expert of largest weight in each layer; none where the token was dropped.
    pub experts: Vec<Option<usize>>,
}

/// The prompt and what was generated, token by token.
#[derive(Debug, Clone)]
pub struct Trace {
    /// All tokens, those of the prompt first.
    pub pieces: Vec<Piece>,
    /// The number of tokens of the prompt.
    pub n_prompt: usize,
    /// The numbers of tokens drafted and of drafts that were right.
    pub drafts: Drafts,
    /// Why the text ends before its end, if it does.
    pub failure: Option<NotFinite>,
    /// The number of experts of a layer.
    pub n_experts: usize,
    /// The number of layers.
    pub n_layers: usize,
}

/// The share of tokens that went to an expert first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share {
    /// The expert; none for dropped tokens.
    pub(super) expert: Option<usize>,
    /// The share of all tokens, in \[0, 1\].
    pub(super) share: f64,
}

impl Share {
    /// `e3`, or `dropped`.
    pub(super) fn name(&self) -> String {
        expert_name(self.expert)
    }

    /// `12.5 %`.
    pub(super) fn percent(&self) -> String {
        format!("{:.1} %", 100.0 * self.share)
    }
}

impl Trace {
    /// The text after the prompt.
    pub fn text(&self) -> String {
        self.pieces[self.n_prompt..]
            .iter()
            .map(|piece| piece.text.as_str())
            .collect()
    }

    /// Each expert's share of all tokens in a layer, and that of dropped ones if there are any.
    pub(super) fn shares(&self, layer: usize) -> Vec<Share> {
        let total = self.pieces.len().max(1) as f64;
        let share = |expert: Option<usize>| {
            let count = self
                .pieces
                .iter()
                .filter(|p| p.experts[layer] == expert)
                .count();
            let share = count as f64 / total;
            Share { expert, share }
        };
        let dropped = Some(share(None)).filter(|dropped| dropped.share > 0.0);
        (0..self.n_experts)
            .map(|e| share(Some(e)))
            .chain(dropped)
            .collect()
    }
}

/// `e3`, or `dropped`.
pub(super) fn expert_name(expert: Option<usize>) -> String {
    expert.map_or("dropped".to_owned(), |expert| format!("e{expert}"))
}

#[cfg(test)]
pub mod testing {
    use super::{Drafts, Piece, Trace};

    /// Two layers of three experts; the second of four tokens begins a character that the third ends.
    pub fn trace() -> Trace {
        let piece = |id, text: &str, experts: [Option<usize>; 2]| Piece {
            id,
            text: text.into(),
            experts: experts.to_vec(),
        };
        Trace {
            pieces: vec![
                piece(60, "<", [Some(0), Some(1)]),
                piece(0xC3, "", [Some(1), Some(1)]),
                piece(0xA9, "é", [Some(2), Some(1)]),
                piece(97, "a", [Some(2), None]),
            ],
            n_prompt: 1,
            drafts: Drafts::default(),
            failure: None,
            n_experts: 3,
            n_layers: 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_all_tokens() {
        let trace = testing::trace();
        let shares = |layer| -> Vec<(String, f64)> {
            trace
                .shares(layer)
                .iter()
                .map(|s| (s.name(), s.share))
                .collect()
        };
        let named = |list: &[(&str, f64)]| -> Vec<(String, f64)> {
            list.iter()
                .map(|(name, share)| ((*name).to_owned(), *share))
                .collect()
        };
        assert_eq!(shares(0), named(&[("e0", 0.25), ("e1", 0.25), ("e2", 0.5)]));
        assert_eq!(
            shares(1),
            named(&[("e0", 0.0), ("e1", 0.75), ("e2", 0.0), ("dropped", 0.25)])
        );
    }

    #[test]
    fn the_text_is_what_follows_the_prompt() {
        assert_eq!(testing::trace().text(), "éa");
    }
}
