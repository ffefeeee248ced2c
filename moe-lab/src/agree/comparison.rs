//! What a comparison of two engines finds.

use super::flips::{Cause, Judged};
use serde::Serialize;

/// An engine beside the reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The engine.
    pub engine: String,
    /// The most by which rounding moves a token's scores, as a share of its largest.
    pub rounding: f64,
    /// Each layer that has a router.
    pub layers: Vec<LayerAgreement>,
    /// The tokens of the first layer.
    pub n_tokens: usize,
    /// Those that go elsewhere in at least one layer that routes the same tokens.
    pub n_flipped: usize,
    /// The largest difference of an output, as a share of the largest output.
    pub outputs: f64,
    /// The mean loss of the engine, and that of the reference, in nats.
    pub loss: f64,
    /// See [`loss`](Self::loss).
    pub reference_loss: f64,
    /// The share of predictions whose most likely token or class is another.
    pub best_differs: f64,
    /// The text that both write, the most likely token at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<GreedyText>,
    /// Tokens of all layers by the gap of their scores.
    pub gaps: Vec<GapBin>,
}

/// A layer in both engines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerAgreement {
    /// The place of the layer among those with a router.
    pub layer: usize,
    /// True if the router's tokens take their best experts, so that a flip has a gap to be judged by.
    pub is_judged: bool,
    /// The tokens that asked for experts.
    pub n_tokens: usize,
    /// Those that asked for others.
    pub flipped: usize,
    /// Flips on scores that differ by no more than rounding.
    pub rounding: usize,
    /// Flips of tokens that read something that went elsewhere in an earlier layer.
    pub earlier: usize,
    /// Flips on scores that differ by more than rounding.
    pub scores: usize,
    /// Flips where an engine does not take the best of its own scores, and places that are others though every score
    /// of the layer is the same.
    pub selection: usize,
    /// Tokens that asked for the same experts and were kept by others: another token took the place.
    pub places: usize,
    /// Tokens whose scores differ by more than rounding though nothing that they read went elsewhere, flipped or not.
    pub apart: usize,
    /// The largest difference of the scores of a token that reads nothing that went elsewhere.
    pub largest_difference: f64,
    /// The median gap of all tokens.
    pub median_gap: Option<f64>,
    /// The median gap of the flipped tokens.
    pub median_gap_flipped: Option<f64>,
    /// The largest gap of a token that reads nothing that went elsewhere and flipped.
    pub largest_gap_flipped: Option<f64>,
    #[serde(skip)]
    gaps: Vec<(f64, bool)>,
    /// True if a score of any token is another.
    #[serde(skip)]
    has_moved: bool,
}

/// Tokens whose gap is at least `from` and less than ten times that.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GapBin {
    /// The least gap; 0 for the first bin, which reaches to the next.
    pub from: f64,
    /// The tokens, of all layers.
    pub n_tokens: usize,
    /// Those that flipped though nothing that they read went elsewhere before.
    pub flipped: usize,
    /// Those that flipped after something that they read had gone elsewhere.
    pub earlier: usize,
}

/// A text that two engines write after the same prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GreedyText {
    /// The tokens written.
    pub n_tokens: usize,
    /// The tokens before the first that differs.
    pub n_equal: usize,
}

impl Comparison {
    /// The flips that rounding does not explain, and the tokens whose scores it does not.
    pub fn n_unexplained(&self) -> usize {
        // the flips on other scores are among the tokens whose scores are apart
        let of_layer = |layer: &LayerAgreement| layer.selection + layer.apart;
        self.layers.iter().map(of_layer).sum()
    }

    /// The first layer where a token goes elsewhere.
    pub fn first_flip(&self) -> Option<usize> {
        let mut layers = self.layers.iter();
        let first = layers.find(|layer| layer.flipped + layer.places > 0);
        first.map(|layer| layer.layer)
    }
}

impl LayerAgreement {
    pub(super) fn new(layer: usize, is_judged: bool) -> Self {
        Self {
            layer,
            is_judged,
            n_tokens: 0,
            flipped: 0,
            rounding: 0,
            earlier: 0,
            scores: 0,
            selection: 0,
            places: 0,
            apart: 0,
            largest_difference: 0.0,
            median_gap: None,
            median_gap_flipped: None,
            largest_gap_flipped: None,
            gaps: Vec::new(),
            has_moved: false,
        }
    }

    /// Counts a token that was judged.
    pub(super) fn add(&mut self, token: &Judged, rounding: f64) {
        self.has_moved |= token.difference > 0.0;
        if !token.follows {
            self.largest_difference = self.largest_difference.max(token.difference);
            self.apart += usize::from(token.difference > rounding);
        }
        if token.gap.is_finite() {
            self.gaps.push((token.gap, token.flip.is_some()));
        }
        let Some(cause) = token.flip else {
            return;
        };
        match cause {
            Cause::Selection => self.selection += 1,
            Cause::Scores => self.scores += 1,
            Cause::Rounding => self.rounding += 1,
            Cause::Earlier => self.earlier += 1,
        }
        if cause != Cause::Earlier {
            let largest = self.largest_gap_flipped.unwrap_or(0.0).max(token.gap);
            self.largest_gap_flipped = Some(largest);
        }
    }

    /// Judges what is of the layer as a whole: places, and the medians of all tokens.
    pub(super) fn finish(mut self) -> Self {
        if self.is_judged && self.flipped == 0 && !self.has_moved {
            self.selection += self.places;
        }
        let gaps = std::mem::take(&mut self.gaps);
        let flipped = gaps.iter().filter(|(_, flipped)| *flipped);
        self.median_gap_flipped = median(flipped.map(|(gap, _)| *gap).collect());
        self.median_gap = median(gaps.into_iter().map(|(gap, _)| gap).collect());
        self
    }
}

impl GapBin {
    /// A bin of gaps below 1e-9, one of each power of ten up to 0.1, and one of the rest.
    pub(super) fn all() -> Vec<Self> {
        let powers = (0..=9).rev().map(|power| 10f64.powi(-power));
        let bin = |from| Self {
            from,
            n_tokens: 0,
            flipped: 0,
            earlier: 0,
        };
        [0.0].into_iter().chain(powers).map(bin).collect()
    }

    /// Counts a token in its bin.
    pub(super) fn count(bins: &mut [Self], token: &Judged) {
        let Some(bin) = bins.iter_mut().rev().find(|bin| token.gap >= bin.from) else {
            return;
        };
        bin.n_tokens += 1;
        match token.flip {
            None => (),
            Some(Cause::Earlier) => bin.earlier += 1,
            Some(_) => bin.flipped += 1,
        }
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
