//! Tokens of a trace on the host, as comparisons take them.

use super::super::TraceReadError;
use crate::agree::{Seen, SeenLayer};
use moe_checkpoint::trace::{LayerChunk, TraceChunk, TraceReader};
use moe_router::TokenChoice;
use moe_router::parts::Score;

/// Tokens of a trace, as comparisons take them.
pub(super) struct Read {
    pub(super) seen: Seen,
    /// The id of each token, if the trace says it.
    pub(super) tokens: Vec<Option<u32>>,
    /// The group of each token, counted from 0 where they change.
    pub(super) groups: Vec<u32>,
    pub(super) has_groups: bool,
    /// The number of the last group in the trace.
    last: Option<u32>,
    /// The experts of each token in each layer with their weights, by expert: one token's layers after another's.
    pub(super) weights: Option<Vec<Vec<(u32, f32)>>>,
}

impl Read {
    /// The first tokens of a trace.
    pub(super) fn of(
        reader: &TraceReader,
        most: u64,
        rule: Option<TokenChoice>,
        any_ties: bool,
    ) -> Result<Self, TraceReadError> {
        let layers = reader.layers().iter();
        let has_weights = layers.clone().all(|layer| layer.has_weights);
        let mut read = Self {
            seen: Seen::default(),
            tokens: Vec::new(),
            groups: Vec::new(),
            has_groups: reader.has("group"),
            last: None,
            weights: has_weights.then(Vec::new),
        };
        read.seen.layers = layers
            .map(|layer| SeenLayer {
                n_experts: reader.meta().n_experts,
                windows: Vec::new(),
                asked: Vec::new(),
                kept: Vec::new(),
                ranking: (layer.has_logits && rule.is_some()).then(Vec::new),
                groups: rule.and_then(|rule| rule.groups),
                any_ties,
            })
            .collect();
        for chunk in reader.chunks() {
            let chunk = chunk?;
            let left = most.saturating_sub(chunk.start).min(chunk.n_tokens as u64) as usize;
            for t in 0..left {
                read.add(&chunk, t, reader, rule)?;
            }
            if left < chunk.n_tokens {
                break;
            }
        }
        Ok(read)
    }

    /// Sets the window of each token.
    pub(super) fn set_windows(&mut self, windows: &[u32]) {
        for layer in &mut self.seen.layers {
            layer.windows = windows.to_vec();
        }
    }

    /// Notes the group of a token.
    fn add_group(&mut self, group: u32) {
        let before = self.groups.last().copied();
        let number = match (before, self.last) {
            (Some(before), Some(last)) if last != group => before + 1,
            (before, _) => before.unwrap_or(0),
        };
        self.groups.push(number);
        self.last = Some(group);
    }

    fn add(
        &mut self,
        chunk: &TraceChunk,
        t: usize,
        reader: &TraceReader,
        rule: Option<TokenChoice>,
    ) -> Result<(), TraceReadError> {
        let n_experts = reader.meta().n_experts;
        self.add_group(chunk.group_of(t));
        self.tokens
            .push(chunk.tokens.as_ref().map(|tokens| tokens[t]));
        for (i, (seen, layer)) in self.seen.layers.iter_mut().zip(&chunk.layers).enumerate() {
            let taken = taken(chunk, layer, t);
            if let Some(wrong) = taken
                .iter()
                .find(|taken| taken.expert as usize >= n_experts)
            {
                return Err(TraceReadError::Expert {
                    layer: i,
                    token: chunk.start + t as u64,
                    expert: wrong.expert as i32,
                    n_experts,
                });
            }
            seen.asked
                .push(taken.iter().map(|taken| taken.expert).collect());
            let kept = taken.iter().filter(|taken| taken.is_kept);
            seen.kept.push(kept.map(|taken| taken.expert).collect());
            if let (Some(all), Some(rule), Some(logits_e)) =
                (&mut seen.ranking, rule, layer.logits_of(t))
            {
                all.extend(ranking(&rule, logits_e, reader.layers()[i].bias.as_deref()));
            }
            if let Some(weights) = &mut self.weights {
                let kept = taken.iter().filter(|taken| taken.is_kept);
                weights.push(kept.map(|taken| (taken.expert, taken.weight)).collect());
            }
        }
        Ok(())
    }
}

/// An assignment of a token.
struct Taken {
    expert: u32,
    weight: f32,
    is_kept: bool,
}

/// The assignments of a token by expert; none of padding.
fn taken(chunk: &TraceChunk, layer: &LayerChunk, t: usize) -> Vec<Taken> {
    if chunk.is_padding(t) {
        return Vec::new();
    }
    let weights = layer.weights_of(t);
    let places = layer
        .row(t)
        .iter()
        .enumerate()
        .filter(|(_, expert)| **expert >= 0);
    let of_place = |(k, &expert): (usize, &i32)| Taken {
        expert: expert as u32,
        weight: weights.map_or(0.0, |weights| weights[k]),
        is_kept: layer.is_kept(t, k),
    };
    let mut taken: Vec<Taken> = places.map(of_place).collect();
    taken.sort_by_key(|taken| taken.expert);
    taken.dedup_by_key(|taken| taken.expert);
    taken
}

/// The scores by which a token ranks its experts, `[E]`: the logits themselves where their order is that of the scores.
fn ranking(rule: &TokenChoice, logits_e: &[f32], bias_e: Option<&[f32]>) -> Vec<f32> {
    if rule.score == Score::Softmax && rule.groups.is_none() && bias_e.is_none() {
        return logits_e.to_vec();
    }
    let scores = rule.scores(logits_e).into_iter().map(|score| score as f32);
    let bias = |e: usize| bias_e.map_or(0.0, |bias_e| bias_e[e]);
    scores
        .enumerate()
        .map(|(e, score)| score + bias(e))
        .collect()
}
