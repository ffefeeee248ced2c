//! Evaluation windows: fixed, in order, and each token is scored exactly once.
//!
//! A window of `L` tokens scores its predictions where no window before it did. With `context = 0` the
//! windows do not overlap (but for the last of a domain). With `context = c` each window but the first of a
//! domain begins with at least `c` tokens that are not scored again. No token is judged with less context
//! than that: the sliding window of perplexity measurements.

use super::batch::Window;
use crate::data::{Batch, Split, TextData, Vocab};

/// The windows of an evaluation.
#[derive(Debug, Clone)]
pub struct EvalWindows<'a> {
    data: &'a TextData,
    split: Split,
    windows: Vec<EvalWindow>,
    n_all: usize,
}

/// A batch of evaluation windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalBatch {
    /// The tokens; the last batch of an evaluation may have fewer rows.
    pub batch: Batch,
    /// Mask of the positions whose loss counts: `[B * L]`, in each row from some position to the end.
    pub scored: Vec<bool>,
}

#[derive(Debug, Clone, Copy)]
struct EvalWindow {
    window: Window,
    /// The first position whose prediction counts.
    scored_from: usize,
}

impl<'a> EvalWindows<'a> {
    /// The windows of a part of `data`.
    ///
    /// At most `max_windows` of them, if given and if there are more: the same number for each domain (at least
    /// one, and no more than it has), evenly spaced over it. Then not every token is scored, but none twice.
    ///
    /// # Panics
    ///
    /// Panics if `context` is not below the sequence length, or `max_windows` is zero.
    pub fn new(
        data: &'a TextData,
        split: Split,
        context: usize,
        max_windows: Option<usize>,
    ) -> Self {
        let seq_length = data.seq_length();
        assert!(
            context < seq_length,
            "context {context} must be below the sequence length {seq_length}"
        );
        assert!(
            max_windows != Some(0),
            "an evaluation needs at least one window"
        );
        let n_domains = data.domain_names().len();
        let of_domains: Vec<Vec<EvalWindow>> = (0..n_domains)
            .map(|domain| {
                let n_tokens = data.tokens(domain, split).len();
                domain_windows(domain as u16, n_tokens, seq_length, seq_length - context)
            })
            .collect();
        let n_all = of_domains.iter().map(Vec::len).sum();
        let most = match max_windows {
            Some(max) if max < n_all => (max / n_domains).max(1),
            _ => n_all,
        };
        let evenly = |all: &Vec<EvalWindow>| -> Vec<EvalWindow> {
            let n_kept = most.min(all.len());
            (0..n_kept).map(|i| all[i * all.len() / n_kept]).collect()
        };
        Self {
            data,
            split,
            windows: of_domains.iter().flat_map(evenly).collect(),
            n_all,
        }
    }

    /// The number of windows of the whole part.
    pub fn n_all(&self) -> usize {
        self.n_all
    }

    /// The number of windows.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Never true: a part that does not fill one window is refused when the data is loaded.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// The windows in order, `batch_size` at a time.
    ///
    /// # Panics
    ///
    /// Panics if `batch_size` is zero.
    pub fn batches(&self, batch_size: usize) -> impl Iterator<Item = EvalBatch> + '_ {
        self.windows
            .chunks(batch_size)
            .map(|chunk| self.gather(chunk))
    }

    /// The `n`-th of the [batches](Self::batches), from 0.
    ///
    /// # Panics
    ///
    /// Panics if there are not so many.
    pub fn batch(&self, n: usize, batch_size: usize) -> EvalBatch {
        let end = ((n + 1) * batch_size).min(self.len());
        self.gather(&self.windows[n * batch_size..end])
    }

    fn gather(&self, chunk: &[EvalWindow]) -> EvalBatch {
        let windows: Vec<Window> = chunk.iter().map(|eval| eval.window).collect();
        let row = |eval: &EvalWindow| {
            let scored_from = eval.scored_from;
            (0..self.data.seq_length()).map(move |position| position >= scored_from)
        };
        EvalBatch {
            batch: Batch::gather(self.data, self.split, &windows),
            scored: chunk.iter().flat_map(row).collect(),
        }
    }
}

impl EvalBatch {
    /// The bytes of the scored targets of each row: `[B]`, the denominators of bits per byte.
    pub fn scored_bytes(&self, vocab: &Vocab) -> Vec<usize> {
        let seq_length = self.batch.seq_length;
        let targets = self.batch.targets.chunks(seq_length);
        let rows = targets.zip(self.scored.chunks(seq_length));
        rows.map(|(targets, scored)| {
            let n_context = scored.iter().filter(|scored| !**scored).count();
            vocab.n_bytes(&targets[n_context..])
        })
        .collect()
    }
}

/// The windows of a domain, one every `stride` tokens; the last one moves back to end with the text.
fn domain_windows(
    domain: u16,
    n_tokens: usize,
    seq_length: usize,
    stride: usize,
) -> Vec<EvalWindow> {
    let last_start = n_tokens - 1 - seq_length;
    let n_windows = 1 + last_start.div_ceil(stride);
    let start_of = |i: usize| (i * stride).min(last_start);
    (0..n_windows)
        .map(|i| EvalWindow {
            window: Window {
                domain,
                start: start_of(i),
            },
            scored_from: match i {
                0 => 0,
                _ => seq_length - (start_of(i) - start_of(i - 1)),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::text::test_data;
    use proptest::prelude::*;

    /// Start and first scored position of each window.
    fn starts(n_tokens: usize, seq_length: usize, stride: usize) -> Vec<(usize, usize)> {
        let windows = domain_windows(0, n_tokens, seq_length, stride);
        windows
            .iter()
            .map(|eval| (eval.window.start, eval.scored_from))
            .collect()
    }

    #[test]
    fn windows_of_a_part() {
        // 11 tokens, 10 predictions, L = 4: targets 1..=4, 5..=8, then 7..=10, of which 9 and 10 are new.
        assert_eq!(starts(11, 4, 4), [(0, 0), (4, 0), (6, 2)]);
        // 2 tokens of context: targets 1..=4, 5..=6, 7..=8, 9..=10.
        assert_eq!(starts(11, 4, 2), [(0, 0), (2, 2), (4, 2), (6, 2)]);
        // 5 tokens fill one window exactly.
        assert_eq!(starts(5, 4, 2), [(0, 0)]);
    }

    #[test]
    fn a_limit_is_shared_by_the_domains() {
        // Validation parts of 50 and 25 tokens, L = 4: 1 + ceil(45 / 4) = 13 and 1 + ceil(20 / 4) = 6 windows.
        let data = test_data(&[1000, 500], 4);
        let count = |max| data.eval_windows(Split::Validation, 0, max).len();
        assert_eq!(
            [
                count(None),
                count(Some(1000)),
                count(Some(16)),
                count(Some(7)),
                count(Some(1))
            ],
            [19, 19, 14, 6, 2]
        );

        let limited = data.eval_windows(Split::Validation, 0, Some(8));
        let starts: Vec<usize> = limited
            .windows
            .iter()
            .map(|eval| eval.window.start)
            .collect();
        // Of 13 windows those at 0, 13/4 = 3, 26/4 = 6, 39/4 = 9; of 6 those at 0, 6/4 = 1, 12/4 = 3, 18/4 = 4.
        assert_eq!(starts, [0, 12, 24, 36, 0, 4, 12, 16]);
    }

    #[test]
    fn scored_bytes_leave_the_context_out() {
        let data = test_data(&[1000], 4);
        let windows = data.eval_windows(Split::Test, 3, Some(2));
        let batch = windows.batches(8).next().expect("two windows");
        // One byte a token: the first window scores 4 positions, the other its last 1.
        assert_eq!(
            batch.scored,
            [true, true, true, true, false, false, false, true]
        );
        assert_eq!(batch.scored_bytes(data.vocab()), [4, 1]);
    }

    #[test]
    #[should_panic(expected = "context 4 must be below the sequence length 4")]
    fn context_fills_the_window() {
        test_data(&[1000], 4).eval_windows(Split::Test, 4, None);
    }

    proptest! {
        #[test]
        fn every_token_is_scored_once(
            sizes in prop::collection::vec(200usize..900, 1..4),
            context in 0usize..8,
            batch_size in 1usize..20,
            validation: bool,
        ) {
            let data = test_data(&sizes, 8);
            let split = if validation { Split::Validation } else { Split::Test };
            let windows = data.eval_windows(split, context, None);

            // Scored targets in order, domain by domain, are the text without its first token.
            let mut scored_targets = vec![Vec::new(); sizes.len()];
            for EvalBatch { batch, scored } in windows.batches(batch_size) {
                for (i, target) in batch.targets.iter().enumerate().filter(|(i, _)| scored[*i]) {
                    scored_targets[usize::from(batch.domains[i / 8])].push(*target);
                }
            }
            for (domain, targets) in scored_targets.iter().enumerate() {
                let tokens = data.tokens(domain, split);
                prop_assert_eq!(targets, &tokens.to_vec(1..tokens.len()));
            }
            // Every scored position but those of a first window sees the promised context.
            let shortest = windows.windows.iter().filter(|eval| eval.window.start > 0).map(|eval| eval.scored_from).min();
            prop_assert!(shortest.is_none_or(|from| from >= context));
        }
    }
}
