//! Agreement of two traces: the same text through two engines or precisions, compared as [`agree`](crate::agree) compares
//! engines.

use super::TraceReadError;
use crate::agree::{Comparison, Rounding, Seen, SeenLayer, compare};
use moe_checkpoint::trace::{LayerChunk, TraceChunk, TraceReader};
use moe_router::TokenChoice;
use moe_router::parts::Score;
use serde::Serialize;

/// Options of a comparison of two traces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AgreeOptions {
    /// The most tokens that are compared, the first ones.
    pub most: u64,
    /// The most by which rounding moves a token's scores, as a share of its largest.
    pub rounding: f64,
    /// The most by which a weight may differ.
    pub tolerance: f64,
    /// True if tokens read those before them alone.
    pub is_causal: bool,
}

/// Two traces beside one another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceAgreement {
    /// The engine of the first trace.
    pub reference: String,
    /// The tokens of each trace.
    pub n_tokens: [u64; 2],
    /// Flips by layer and cause.
    pub comparison: Comparison,
    /// The routers, a token in a layer, that were compared.
    pub n_routers: u64,
    /// Those that ask for other experts.
    pub n_routers_flipped: u64,
    /// The tokens that ask for other experts in at least one layer.
    pub n_tokens_flipped: u64,
    /// The largest difference of a weight where the experts are the same; none if a trace has no weights.
    pub weights: Option<f64>,
    /// The most by which they may differ.
    pub tolerance: f64,
}

impl TraceAgreement {
    /// Tells whether the weights of the same experts are the same, as far as both traces say them.
    pub fn weights_agree(&self) -> bool {
        self.weights.is_none_or(|largest| largest <= self.tolerance)
    }

    /// Tells whether no flip is left unexplained, and the weights agree.
    pub fn is_explained(&self) -> bool {
        self.comparison.n_unexplained() == 0 && self.weights_agree()
    }
}

/// Compares two traces of one model and one text.
///
/// # Errors
///
/// Returns an error if a file cannot be read, or if the traces are not of the same tokens and layers.
pub fn agree(
    own: &TraceReader,
    other: &TraceReader,
    options: &AgreeOptions,
) -> Result<TraceAgreement, TraceReadError> {
    check_alike(own, other)?;
    let most = options.most.min(own.n_tokens()).min(other.n_tokens());
    let rule = own.meta().rule.or(other.meta().rule);
    let [first, second] = [own, other].map(|reader| Read::of(reader, most, rule));
    let (mut first, mut second) = (first?, second?);
    check_columns(&first, &second)?;
    let windows = windows(&first, &second)?;
    first.set_windows(&windows);
    second.set_windows(&windows);
    let engine = |reader: &TraceReader| {
        let path = reader.path().display().to_string();
        match &reader.meta().engine {
            Some(engine) => format!("{path} ({engine})"),
            None => path,
        }
    };
    let rounding = Rounding(options.rounding);
    let [seen, seen_there] = [&first, &second].map(|read| &read.seen);
    let found = compare(
        seen,
        seen_there,
        &engine(other),
        rounding,
        options.is_causal,
    );
    let layers = found.layers.iter();
    let routers = layers.fold([0, 0], |[all, flipped], layer| {
        [all + layer.n_tokens as u64, flipped + layer.flipped as u64]
    });
    Ok(TraceAgreement {
        reference: engine(own),
        n_tokens: [own.n_tokens(), other.n_tokens()],
        comparison: found,
        n_routers: routers[0],
        n_routers_flipped: routers[1],
        n_tokens_flipped: n_flipped(seen, seen_there),
        weights: largest_difference(&first, &second),
        tolerance: options.tolerance,
    })
}

/// Refuses traces of other models; one may lack the last tokens of a single sequence, as those of serving engines do.
fn check_alike(own: &TraceReader, other: &TraceReader) -> Result<(), TraceReadError> {
    let sizes = |reader: &TraceReader| (reader.layers().len(), reader.meta().n_experts);
    let ((layers, experts), (layers_there, experts_there)) = (sizes(own), sizes(other));
    if sizes(own) != sizes(other) {
        return Err(TraceReadError::NotAlike(format!(
            "one has {layers} layers of {experts} experts, the other {layers_there} of {experts_there}"
        )));
    }
    let (n, there) = (own.n_tokens(), other.n_tokens());
    if n != there && (own.has("group") && other.has("group")) {
        return Err(TraceReadError::NotAlike(format!(
            "one has {n} tokens in groups, the other {there}"
        )));
    }
    Ok(())
}

/// Refuses traces whose tokens or padding differ, as far as both say them.
fn check_columns(own: &Read, other: &Read) -> Result<(), TraceReadError> {
    let pairs = own.tokens.iter().zip(&other.tokens).enumerate();
    for (t, (id, there)) in pairs {
        if let (Some(id), Some(there)) = (id, there)
            && id != there
        {
            return Err(TraceReadError::NotAlike(format!(
                "token {t} is {id} in one and {there} in the other"
            )));
        }
    }
    Ok(())
}

/// The group of each token, of the trace that has groups, from 0.
fn windows(own: &Read, other: &Read) -> Result<Vec<u32>, TraceReadError> {
    match (own.has_groups, other.has_groups) {
        (true, true) if own.groups != other.groups => Err(TraceReadError::NotAlike(
            "their tokens form other groups".to_owned(),
        )),
        (true, _) => Ok(own.groups.clone()),
        _ => Ok(other.groups.clone()),
    }
}

/// The tokens that ask for other experts in at least one layer.
fn n_flipped(own: &Seen, other: &Seen) -> u64 {
    let n_tokens = own.layers.first().map_or(0, |layer| layer.asked.len());
    let differs = |&t: &usize| {
        let mut layers = own.layers.iter().zip(&other.layers);
        layers.any(|(own, other)| own.asked[t] != other.asked[t])
    };
    (0..n_tokens).filter(differs).count() as u64
}

/// The largest difference of a weight at tokens with the same experts; infinite where one alone is a number.
fn largest_difference(own: &Read, other: &Read) -> Option<f64> {
    let (own, other) = (own.weights.as_ref()?, other.weights.as_ref()?);
    let mut largest = 0.0;
    for (own, other) in own
        .iter()
        .zip(other)
        .filter(|(own, other)| own.len() == other.len())
    {
        let pairs = own.iter().zip(other);
        if pairs
            .clone()
            .any(|((expert, _), (there, _))| expert != there)
        {
            continue;
        }
        for ((_, weight), (_, there)) in pairs {
            let difference = f64::from((weight - there).abs());
            largest = if difference.is_nan() {
                f64::INFINITY
            } else {
                difference.max(largest)
            };
        }
    }
    Some(largest)
}

/// Tokens of a trace, as comparisons take them.
struct Read {
    seen: Seen,
    /// The id of each token, if the trace says it.
    tokens: Vec<Option<u32>>,
    /// The group of each token, counted from 0 where they change.
    groups: Vec<u32>,
    has_groups: bool,
    /// The number of the last group in the trace.
    last: Option<u32>,
    /// The experts of each token with their weights, by expert, layer after layer within a chunk.
    weights: Option<Vec<Vec<(u32, f32)>>>,
}

impl Read {
    /// The first tokens of a trace.
    fn of(
        reader: &TraceReader,
        most: u64,
        rule: Option<TokenChoice>,
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

    fn set_windows(&mut self, windows: &[u32]) {
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

#[cfg(test)]
mod tests;
