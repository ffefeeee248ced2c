//! Scores of whole texts by a decoder, in windows that overlap: bits per byte, perplexity, next-token accuracy.
//!
//! ```text
//! window 0   reads token 0 .. length                    and scores those after each
//! window i   reads token i stride .. i stride + length  and scores what no window before it has scored
//! ```
//!
//! A token behind the first window is so scored with more than `length - stride` tokens before it. The last window ends with
//! the text and is as long as the others. The first token of a text has nothing before it and is not scored.

use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_models::{Decoder, DecoderInput, token_losses};
use moe_router::to_vec;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The most logits of a call, 256 MiB in f32.
const MOST_LOGITS: usize = 1 << 26;

/// The most windows of a call: more win nothing.
const MOST_WINDOWS: usize = 32;

/// The windows of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextWindows {
    /// The tokens that something comes after.
    n_read: usize,
    length: usize,
    stride: usize,
}

/// Sums over scored tokens.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq)]
pub struct TextScore {
    /// The number of scored tokens.
    pub n_tokens: u64,
    /// The sum of their negative log-likelihoods, in nats.
    pub nats: f64,
    /// The number of tokens that were the most likely ones.
    pub n_right: u64,
}

impl TextWindows {
    /// The windows of `n_tokens` tokens.
    ///
    /// # Panics
    ///
    /// Panics if the stride is 0 or above the length.
    pub fn new(n_tokens: usize, length: usize, stride: usize) -> Self {
        assert!(
            (1..=length).contains(&stride),
            "a stride of {stride} is not between 1 and the length {length}"
        );
        Self {
            n_read: n_tokens.saturating_sub(1),
            length,
            stride,
        }
    }

    /// The number of windows.
    pub fn len(&self) -> usize {
        match self.n_read {
            0 => 0,
            n => 1 + n.saturating_sub(self.length).div_ceil(self.stride),
        }
    }

    /// Tells whether no token can be scored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens that a window reads.
    pub fn read(&self, window: usize) -> Range<usize> {
        let end = (window * self.stride + self.length).min(self.n_read);
        end.saturating_sub(self.length)..end
    }

    /// The tokens whose followers it scores.
    pub fn scored(&self, window: usize) -> Range<usize> {
        let first = match window {
            0 => 0,
            _ => self.read(window - 1).end,
        };
        first..self.read(window).end
    }

    /// The number of windows of a call of a model, for a vocabulary of `vocab_size`.
    pub fn at_once(&self, vocab_size: usize) -> usize {
        (MOST_LOGITS / (self.length * vocab_size.max(1))).clamp(1, MOST_WINDOWS)
    }
}

impl TextScore {
    /// Adds the sums of other tokens.
    pub fn add(&mut self, other: Self) {
        self.n_tokens += other.n_tokens;
        self.nats += other.nats;
        self.n_right += other.n_right;
    }

    /// The bits that a byte costs, if the scored tokens are `n_bytes` bytes of text.
    pub fn bits_per_byte(&self, n_bytes: u64) -> f64 {
        self.nats / std::f64::consts::LN_2 / n_bytes as f64
    }

    /// The exponential of the mean negative log-likelihood of a token.
    pub fn perplexity(&self) -> f64 {
        (self.nats / self.n_tokens as f64).exp()
    }

    /// The share of tokens that were the most likely ones.
    pub fn accuracy(&self) -> f64 {
        self.n_right as f64 / self.n_tokens as f64
    }
}

/// Scores some windows of a text in one call of the model.
///
/// # Shapes
///
/// The model reads `[windows, length]` tokens and returns `[windows, length, vocab_size]` logits.
///
/// # Panics
///
/// Panics if there is no window, or if the tokens are not as many as the windows were made for.
pub fn score_windows(
    model: &impl Decoder,
    tokens: &[u32],
    windows: &TextWindows,
    of: Range<usize>,
    device: &Device,
) -> TextScore {
    let n_tokens = windows.n_read + 1;
    assert_eq!(tokens.len(), n_tokens, "the windows are of another text");
    assert!(
        of.end <= windows.len() && !of.is_empty(),
        "there are {} windows, not {of:?}",
        windows.len()
    );
    let length = windows.read(of.start).len();
    let ids = |ahead: usize| {
        let windows = of.clone().map(|window| windows.read(window));
        let ids = windows.flat_map(|read| &tokens[read.start + ahead..read.end + ahead]);
        let ids: Vec<i64> = ids.map(|&id| i64::from(id)).collect();
        Tensor::<2, Int>::from_data(TensorData::new(ids, [of.len(), length]), device)
    };
    let (inputs, targets) = (ids(0), ids(1));
    let logits = model.forward(DecoderInput::new(inputs)).logits;
    let best = logits.clone().argmax(2).squeeze_dim::<2>(2);
    let right = to_vec(best.equal(targets.clone()).float().reshape([-1]));
    let nats = to_vec(token_losses(logits, targets).reshape([-1]));

    let mut score = TextScore::default();
    for (row, window) in of.enumerate() {
        let start = windows.read(window).start;
        for token in windows.scored(window) {
            let place = row * length + token - start;
            score.add(TextScore {
                n_tokens: 1,
                nats: f64::from(nats[place]),
                n_right: u64::from(right[place] > 0.5),
            });
        }
    }
    score
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_attention::GroupedQueryAttentionConfig;
    use moe_experts::MoeLayerConfig;
    use moe_models::{AnyDecoder, DecoderConfig, MixtralConfig};
    use moe_router::RouterConfig;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_token_but_the_first_is_scored_once(n in 0usize..200, length in 1usize..40, part in 1usize..40) {
            let stride = part.min(length);
            let windows = TextWindows::new(n, length, stride);
            let scored: Vec<usize> = (0..windows.len()).flat_map(|w| windows.scored(w)).collect();
            prop_assert_eq!(scored, (0..n.saturating_sub(1)).collect::<Vec<_>>());
            for window in 0..windows.len() {
                let (read, scored) = (windows.read(window), windows.scored(window));
                prop_assert_eq!(read.len(), length.min(n - 1));
                prop_assert!(scored.start >= read.start && scored.end == read.end && !scored.is_empty());
                // what is not in the first window has its context
                prop_assert!(window == 0 || scored.start - read.start >= length - stride);
            }
        }
    }

    fn model() -> AnyDecoder {
        let attention = GroupedQueryAttentionConfig::new(8, 2, 1);
        let config = MixtralConfig::new(11, 2, attention, MoeLayerConfig::new(8, 4, 6));
        DecoderConfig::Mixtral(config).init(&RouterConfig::mixtral(2), 3, &Device::flex())
    }

    #[test]
    fn a_text_in_one_window_has_the_losses_of_one_pass() {
        let (model, device) = (model(), Device::flex());
        let tokens = [3, 1, 4, 1, 5, 9, 2, 6];
        let windows = TextWindows::new(8, 8, 4);
        let score = score_windows(&model, &tokens, &windows, 0..1, &device);
        let ids = Tensor::<2, Int>::from_data([tokens.map(i64::from)], &device);
        let logits = model.forward(DecoderInput::new(ids)).logits;
        let logits = to_vec(logits.reshape([-1]));
        let mut expected = TextScore::default();
        for (row, &target) in logits.chunks(11).zip(&tokens[1..]) {
            let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            let chosen = row[target as usize];
            expected.add(TextScore {
                n_tokens: 1,
                nats: sum.ln() - f64::from(chosen),
                n_right: u64::from(row.iter().all(|&x| x <= chosen)),
            });
        }
        assert_eq!((score.n_tokens, score.n_right), (7, expected.n_right));
        assert!((score.nats - expected.nats).abs() < 1e-5);
        // a byte a token: bits are nats over ln 2
        let bits = expected.nats / 2f64.ln() / 7.0;
        assert!((score.bits_per_byte(7) - bits).abs() < 1e-6);
        assert!((score.perplexity().log2() - bits).abs() < 1e-6);
    }

    #[test]
    fn windows_of_one_call_are_those_of_several() {
        let (model, device) = (model(), Device::flex());
        let tokens: Vec<u32> = (0..30).map(|i| i * i % 11).collect();
        let windows = TextWindows::new(30, 8, 4);
        let whole = score_windows(&model, &tokens, &windows, 0..windows.len(), &device);
        let mut parts = TextScore::default();
        for window in 0..windows.len() {
            parts.add(score_windows(
                &model,
                &tokens,
                &windows,
                window..window + 1,
                &device,
            ));
        }
        assert_eq!(whole.n_tokens, 29);
        assert_eq!(
            (whole.n_tokens, whole.n_right),
            (parts.n_tokens, parts.n_right)
        );
        assert!((whole.nats - parts.nats).abs() < 1e-4);
    }
}
