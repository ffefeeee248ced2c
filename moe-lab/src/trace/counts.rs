//! Counts of a layer over a trace.

use super::TraceReadError;
use super::chains::PairCounts;
use super::kinds::Kinds;
use crate::analyze::{CommunicationOptions, SkippedWorld};
use moe_checkpoint::trace::{LayerChunk, NO_EXPERT, TraceChunk, TraceReader};
use moe_router::metrics::{FanOut, LabelCounts};
use moe_router::parts::Score;

/// Fan-out is counted of all tokens up to so many assignments of the trace, and of every second, third and so on above.
const ASSIGNMENTS_OF_FAN_OUT: u64 = 1 << 23;

/// Consecutive tokens, as all layers count them.
pub(super) struct Counted<'a> {
    pub(super) chunk: &'a TraceChunk,
    /// The kind of each token's id, `[T]`; `u16::MAX` of one that does not count.
    pub(super) tokens_t: Vec<u16>,
    /// The kind of each token's label, `[T]`.
    pub(super) labels_t: Vec<u16>,
    /// The number of tokens of the trace.
    pub(super) n_tokens: u64,
    /// Each so many tokens one is taken for the fan-out.
    pub(super) step: u64,
}

/// Counts of a layer's experts.
#[derive(Debug)]
pub(super) struct LayerCounts {
    place: usize,
    n_experts: usize,
    score: Score,
    pub(super) asked: Vec<u64>,
    pub(super) kept: Vec<u64>,
    pub(super) n_tokens: u64,
    /// The sum of the squared number of experts of each token.
    pub(super) squares: u64,
    /// The same of tokens that have a label.
    pub(super) labelled_squares: u64,
    pub(super) by_token: Table,
    pub(super) by_label: Table,
    pub(super) pairs: PairCounts,
    pub(super) worlds: Vec<Result<FanOut, SkippedWorld>>,
    entropy: f64,
    n_logits: u64,
}

/// Counts by expert and kind, `[E][N]`; empty without kinds.
#[derive(Debug)]
pub(super) struct Table {
    n_kinds: usize,
    counts: Vec<u32>,
}

impl Table {
    fn new(n_experts: usize, kinds: Option<&Kinds>) -> Self {
        let n_kinds = kinds.map_or(0, Kinds::len);
        Self {
            n_kinds,
            counts: vec![0; n_experts * n_kinds],
        }
    }

    /// Counts a kind; one that does not count is beyond all.
    fn add(&mut self, expert: usize, kind: usize) {
        if kind < self.n_kinds {
            let count = &mut self.counts[expert * self.n_kinds + kind];
            *count = count.saturating_add(1);
        }
    }

    /// The counts as the measures of information take them, of the first `n_kinds` kinds.
    pub(super) fn labels(&self, n_kinds: usize) -> LabelCounts {
        let row = |row: &[u32]| row[..n_kinds].iter().copied().map(f64::from).collect();
        LabelCounts {
            counts: self.counts.chunks(self.n_kinds.max(1)).map(row).collect(),
        }
    }
}

impl LayerCounts {
    pub(super) fn new(
        reader: &TraceReader,
        place: usize,
        kinds: [Option<&Kinds>; 2],
        communication: Option<&CommunicationOptions>,
    ) -> Self {
        let n_experts = reader.meta().n_experts;
        let n_layers = reader.layers().len();
        let [tokens, labels] = kinds;
        let rule = reader.meta().rule;
        Self {
            place,
            n_experts,
            score: rule.map_or(Score::Softmax, |rule| rule.score),
            asked: vec![0; n_experts],
            kept: vec![0; n_experts],
            n_tokens: 0,
            squares: 0,
            labelled_squares: 0,
            by_token: Table::new(n_experts, tokens),
            by_label: Table::new(n_experts, labels),
            pairs: PairCounts::new(n_experts, n_layers),
            worlds: communication.map_or_else(Vec::new, |options| options.counts(n_experts)),
            entropy: 0.0,
            n_logits: 0,
        }
    }

    /// Counts a chunk.
    pub(super) fn add(&mut self, counted: &Counted<'_>) -> Result<(), TraceReadError> {
        let layer = &counted.chunk.layers[self.place];
        let next = counted.chunk.layers.get(self.place + 1);
        let next = next.filter(|_| self.pairs.is_counting());
        for t in 0..counted.chunk.n_tokens {
            if counted.chunk.is_padding(t) {
                continue;
            }
            self.add_token(counted, layer, t)?;
            if let Some(next) = next {
                self.add_pair(layer, next, t);
            }
            if let Some(logits_e) = layer.logits_of(t) {
                self.entropy += entropy(logits_e, self.score);
                self.n_logits += 1;
            }
        }
        self.add_fan_out(counted, layer);
        Ok(())
    }

    fn add_token(
        &mut self,
        counted: &Counted<'_>,
        layer: &LayerChunk,
        t: usize,
    ) -> Result<(), TraceReadError> {
        let token = usize::from(counted.tokens_t[t]);
        let label = usize::from(counted.labels_t[t]);
        let mut n_kept = 0;
        for (k, &expert) in layer.row(t).iter().enumerate() {
            if expert == NO_EXPERT {
                continue;
            }
            let e = expert as usize;
            if expert < 0 || e >= self.n_experts {
                return Err(TraceReadError::Expert {
                    layer: self.place,
                    token: counted.chunk.start + t as u64,
                    expert,
                    n_experts: self.n_experts,
                });
            }
            self.asked[e] += 1;
            if layer.is_kept(t, k) {
                self.kept[e] += 1;
                n_kept += 1;
                self.by_token.add(e, token);
                self.by_label.add(e, label);
            }
        }
        self.n_tokens += 1;
        self.squares += n_kept * n_kept;
        if label < self.by_label.n_kinds {
            self.labelled_squares += n_kept * n_kept;
        }
        Ok(())
    }

    /// Counts the first experts of a token here and in the next layer.
    fn add_pair(&mut self, layer: &LayerChunk, next: &LayerChunk, t: usize) {
        let first = |layer: &LayerChunk| {
            let row = layer.row(t).iter().enumerate();
            let mut kept = row.filter(|(k, expert)| **expert >= 0 && layer.is_kept(t, *k));
            kept.next().map(|(_, expert)| *expert as usize)
        };
        if let (Some(from), Some(to)) = (first(layer), first(next))
            && to < self.n_experts
        {
            self.pairs.add(from, to);
        }
    }

    fn add_fan_out(&mut self, counted: &Counted<'_>, layer: &LayerChunk) {
        let chunk = counted.chunk;
        for fan_out in self.worlds.iter_mut().flatten() {
            let n_ranks = fan_out.placement().n_ranks() as u64;
            let first = chunk.start.next_multiple_of(counted.step);
            for token in (first..chunk.start + chunk.n_tokens as u64).step_by(counted.step as usize)
            {
                let t = (token - chunk.start) as usize;
                if chunk.is_padding(t) {
                    continue;
                }
                let row = layer.row(t).iter().enumerate();
                let computed = row.filter(|(k, expert)| **expert >= 0 && layer.is_kept(t, *k));
                let experts = computed.map(|(_, expert)| *expert as usize);
                let source = u128::from(token) * u128::from(n_ranks) / u128::from(counted.n_tokens);
                fan_out.add_experts(source as usize, experts);
            }
        }
    }

    /// The mean entropy of a token's distribution over experts, over that of the uniform one; none without logits.
    pub(super) fn entropy(&self) -> Option<f64> {
        let largest = (self.n_experts as f64).ln().max(1e-12);
        (self.n_logits > 0).then(|| self.entropy / self.n_logits as f64 / largest)
    }
}

/// Each so many tokens one is taken for the fan-out.
pub(super) fn fan_out_step(reader: &TraceReader) -> u64 {
    let of_token: u64 = reader.layers().iter().map(|layer| layer.width as u64).sum();
    let all = reader.n_tokens().saturating_mul(of_token);
    all.div_ceil(ASSIGNMENTS_OF_FAN_OUT).max(1)
}

/// The entropy of a token's distribution over experts, in nats; 0 of scores that are no distribution.
fn entropy(logits_e: &[f32], score: Score) -> f64 {
    let largest = logits_e.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let of = |z: f32| match score {
        Score::Softmax | Score::Cosine => (z - largest).exp(),
        Score::Sigmoid => 1.0 / (1.0 + (-z).exp()),
        Score::Relu => z.max(0.0),
    };
    // -sum p ln p with p = s / S is ln S - (sum s ln s) / S
    let (mut sum, mut logs) = (0.0, 0.0);
    for &z in logits_e {
        let s = f64::from(of(z));
        sum += s;
        if s > 0.0 {
            logs += s * s.ln();
        }
    }
    let nats = sum.ln() - logs / sum;
    if nats.is_finite() { nats } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropies_of_scores() {
        assert!((entropy(&[1.0; 4], Score::Softmax) - 4f64.ln()).abs() < 1e-7);
        // 1/4 and 3/4
        let expected = -(0.25 * 0.25f64.ln() + 0.75 * 0.75f64.ln());
        let found = entropy(&[0.0, 3f32.ln()], Score::Softmax);
        assert!((found - expected).abs() < 1e-6);
        assert!((entropy(&[1.0, 3.0, -2.0], Score::Relu) - expected).abs() < 1e-6);
        assert_eq!(entropy(&[-1.0, f32::NAN], Score::Relu), 0.0);
    }
}
