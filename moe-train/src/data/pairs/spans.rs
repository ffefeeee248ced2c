//! Span corruption: short spans of a text are cut out, and the model writes what was there (T5, Raffel et
//! al., arXiv 1910.10683, section 3.1.4 and figure 2).
//!
//! ```text
//! text     Thank you for inviting me to your party last week .
//! input    Thank you <extra_id_0> me to your party <extra_id_1> week . </s>
//! target   <extra_id_0> for inviting <extra_id_1> last </s>
//! ```

use super::Pair;
use crate::data::UnigramVocab;
use rand::seq::index::sample;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers of tokens that are cut out of a text and of spans that hold them. They are the same for all
/// texts of a length, so that all pairs have the same lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanShape {
    /// The tokens of the text.
    pub length: usize,
    /// The tokens that are cut out.
    pub n_noise: usize,
    /// The spans that they are in.
    pub n_spans: usize,
}

impl SpanShape {
    /// The shape for texts of `length` tokens of which a share of `noise_density` is cut out in spans of
    /// `mean_length` tokens on average; there is at least one span, and at least one token is left
    /// before each.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two tokens.
    pub fn new(length: usize, noise_density: f64, mean_length: f64) -> Self {
        assert!(length >= 2, "a text with a gap has at least two tokens");
        let n_noise = (length as f64 * noise_density).round() as usize;
        let n_noise = n_noise.clamp(1, length - 1);
        let n_spans = (n_noise as f64 / mean_length).round() as usize;
        Self {
            length,
            n_noise,
            n_spans: n_spans.clamp(1, n_noise.min(length - n_noise)),
        }
    }

    /// The tokens of the text with gaps, sentinels and the end included.
    pub fn input_length(&self) -> usize {
        self.length - self.n_noise + self.n_spans + 1
    }

    /// The tokens of what is in the gaps, sentinels and the end included.
    pub fn target_length(&self) -> usize {
        self.n_noise + self.n_spans + 1
    }
}

/// Cuts spans out of a text, which depend on the seed alone. As in the published code the text begins
/// with what is left and ends with a span.
///
/// # Panics
///
/// Panics if the text is not as long as the shape says, or has more spans than there are sentinels.
pub fn corrupt(text: &[u32], shape: &SpanShape, seed: u64) -> Pair {
    assert_eq!(text.len(), shape.length, "a text of the shape's length");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let noise = lengths(shape.n_noise, shape.n_spans, &mut rng);
    let left = lengths(shape.length - shape.n_noise, shape.n_spans, &mut rng);
    let mut pair = Pair {
        input: Vec::with_capacity(shape.input_length()),
        target: Vec::with_capacity(shape.target_length()),
    };
    let mut rest = text;
    for (gap, (left, noise)) in left.into_iter().zip(noise).enumerate() {
        let sentinel = UnigramVocab::sentinel(gap);
        let (kept, after) = rest.split_at(left);
        let (cut, after) = after.split_at(noise);
        pair.input.extend_from_slice(kept);
        pair.input.push(sentinel);
        pair.target.push(sentinel);
        pair.target.extend_from_slice(cut);
        rest = after;
    }
    pair.input.push(UnigramVocab::END);
    pair.target.push(UnigramVocab::END);
    pair
}

/// Divides `n` tokens into `parts` lengths of at least one, all divisions being as likely.
fn lengths(n: usize, parts: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut ends: Vec<usize> = sample(rng, n - 1, parts - 1)
        .iter()
        .map(|end| end + 1)
        .collect();
    ends.sort_unstable();
    ends.push(n);
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, end)| end - start).collect()
}

/// Reads what a target says of each gap, up to its end, by the order of the gaps. A gap that it does not
/// name has `None`; of a gap that is named twice the first counts.
pub fn fills(target: &[u32], n_gaps: usize) -> Vec<Option<Vec<u32>>> {
    let end = target.iter().position(|id| *id == UnigramVocab::END);
    let target = &target[..end.unwrap_or(target.len())];
    fills_between(target, n_gaps, UnigramVocab::gap)
}

/// As [`fills`], of tokens without an end, where `gap` says which gap a token stands for if it is a
/// sentinel.
pub fn fills_between(
    target: &[u32],
    n_gaps: usize,
    gap: impl Fn(u32) -> Option<usize>,
) -> Vec<Option<Vec<u32>>> {
    let mut fills: Vec<Option<Vec<u32>>> = vec![None; n_gaps];
    let mut open: Option<usize> = None;
    for &id in target {
        match gap(id) {
            Some(gap) => {
                open = Some(gap).filter(|gap| fills.get(*gap).is_some_and(Option::is_none));
                if let Some(gap) = open {
                    fills[gap] = Some(Vec::new());
                }
            }
            None => {
                if let Some(fill) = open.and_then(|gap| fills[gap].as_mut()) {
                    fill.push(id);
                }
            }
        }
    }
    fills
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_shape_of_a_window() {
        // 15 % of 128 are 19.2, in 19 / 3 = 6.3 spans
        let shape = SpanShape::new(128, 0.15, 3.0);
        assert_eq!((shape.n_noise, shape.n_spans), (19, 6));
        assert_eq!((shape.input_length(), shape.target_length()), (116, 26));
        // 30 of 32 tokens cut out leave room for two spans
        let shape = SpanShape::new(32, 0.94, 3.0);
        assert_eq!((shape.n_noise, shape.n_spans), (30, 2));
    }

    #[test]
    fn one_span_is_the_end_of_the_text() {
        let shape = SpanShape {
            length: 5,
            n_noise: 2,
            n_spans: 1,
        };
        let pair = corrupt(&[200, 201, 202, 203, 204], &shape, 7);
        assert_eq!(pair.input, [200, 201, 202, 2, 1]);
        assert_eq!(pair.target, [2, 203, 204, 1]);
    }

    #[test]
    fn fills_are_found_by_their_sentinels() {
        // gap 1, gap 0 empty, gap 1 again, an end, and more
        let target = [3, 200, 201, 2, 3, 202, 1, 2, 203];
        let expected = [Some(vec![]), Some(vec![200, 201]), None];
        assert_eq!(fills(&target, 3), expected);
        assert_eq!(fills(&[200, 201], 1), [None]);
    }

    proptest! {
        #[test]
        fn a_pair_is_its_text_and_nothing_else(
            length in 2usize..200, density in 0.01f64..0.9, mean in 1.0f64..8.0, seed: u64,
        ) {
            let shape = SpanShape::new(length, density, mean);
            prop_assume!(shape.n_spans <= UnigramVocab::N_SENTINELS);
            let text: Vec<u32> = (0..length as u32).map(|i| 200 + i).collect();
            let pair = corrupt(&text, &shape, seed);
            prop_assert_eq!(pair.input.len(), shape.input_length());
            prop_assert_eq!(pair.target.len(), shape.target_length());
            prop_assert_eq!(&pair, &corrupt(&text, &shape, seed));
            // filling the gaps gives the text
            let fills = fills(&pair.target, shape.n_spans);
            let mut filled = Vec::new();
            for &id in &pair.input[..pair.input.len() - 1] {
                match UnigramVocab::gap(id) {
                    Some(gap) => filled.extend(fills[gap].clone().expect("every gap is named")),
                    None => filled.push(id),
                }
            }
            prop_assert_eq!(filled, text);
        }
    }
}
