//! The doings of experts in a trace, in one pass over it.

use super::TraceReadError;
use super::chains::Chains;
use super::counts::{Counted, LayerCounts, fan_out_step};
use super::kinds::{Column, Kinds};
use crate::analyze::{
    Chance, Communication, CommunicationOptions, Domains, Information, RowSizes, TokenLift,
    top_tokens,
};
use moe_checkpoint::trace::{TraceChunk, TraceReader};
use moe_router::Load;
use moe_router::metrics::{LabelCounts, dead_experts, drop_rate, load_entropy, max_vio, mean_k};
use serde::Serialize;
use std::thread;

/// Options of what is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ShowOptions {
    /// The ranks that experts would be spread over; none counts nothing of them.
    pub communication: Option<CommunicationOptions>,
    /// The width of the model, in place of what the trace says.
    pub d_model: Option<usize>,
    /// The threads that count.
    pub n_threads: usize,
}

/// The doings of experts in a trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceShow {
    /// The model, in words.
    pub model: Option<String>,
    /// The engine that computed it.
    pub engine: Option<String>,
    /// The tokens, without padding.
    pub n_tokens: u64,
    /// The tokens that are padding.
    pub n_padding: u64,
    /// The number of experts of each layer.
    pub n_experts: usize,
    /// The assignments of all layers, dropped ones included.
    pub n_assignments: u64,
    /// The names of the labels that came, in the order of [`ShownLayer::labels`].
    pub labels: Vec<String>,
    /// Each layer with a router.
    pub layers: Vec<ShownLayer>,
    /// Chains of experts, from each layer to the next.
    pub chains: Vec<Chains>,
    /// The communication of expert parallelism, if the width of the model is known.
    pub communication: Option<Communication>,
    /// Each so many tokens one was taken for it.
    pub communication_step: u64,
}

/// The doings of a layer's experts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownLayer {
    /// The assignments that each expert computed, `[E]`.
    pub computed: Vec<f64>,
    /// The entropy of the shares of the load, over that of a balanced one.
    pub load_entropy: f64,
    /// The mean entropy of a token's distribution over experts, over that of the uniform one; none without logits.
    pub entropy: Option<f64>,
    /// The largest load over the mean, minus 1.
    pub max_vio: f64,
    /// The share of assignments that were dropped.
    pub drop_rate: f64,
    /// The number of experts that nobody asked for.
    pub dead_experts: usize,
    /// Experts that compute an average token.
    pub mean_k: f64,
    /// The labels of each expert, if there are any.
    pub labels: Option<Domains>,
    /// The bits that the expert tells about the id of its token, ids beyond the commonest as one.
    pub token_information: Option<Information>,
    /// The tokens that each expert takes most beyond their base rate, `[E]`.
    pub tokens: Vec<Vec<TokenLift>>,
}

/// Reads a trace and counts what each expert takes. The memory that it takes does not grow with the number of tokens.
///
/// # Errors
///
/// Returns an error if the file cannot be read, or names an expert that does not exist.
pub fn show(reader: &TraceReader, options: &ShowOptions) -> Result<TraceShow, TraceReadError> {
    let tokens = Kinds::of(reader, Column::Tokens)?;
    let labels = Kinds::of(reader, Column::Labels)?;
    let kinds = [tokens.as_ref(), labels.as_ref()];
    let d_model = options.d_model.or(reader.meta().d_model);
    let communication = options.communication.as_ref().filter(|_| d_model.is_some());
    let layers = 0..reader.layers().len();
    let mut layers: Vec<LayerCounts> = layers
        .map(|place| LayerCounts::new(reader, place, kinds, communication))
        .collect();
    let n_padding = read(reader, kinds, &mut layers, options.n_threads)?;
    let asked = layers.iter().flat_map(|layer| &layer.asked);
    Ok(TraceShow {
        model: reader.meta().model.clone(),
        engine: reader.meta().engine.clone(),
        n_tokens: reader.n_tokens() - n_padding,
        n_padding,
        n_experts: reader.meta().n_experts,
        n_assignments: asked.sum(),
        labels: labels
            .iter()
            .flat_map(|kinds| names(kinds, reader))
            .collect(),
        layers: layers.iter().map(|layer| layer.finish(kinds)).collect(),
        chains: chains(&layers),
        communication: communication
            .zip(d_model)
            .map(|(options, d_model)| communicated(&layers, options, d_model)),
        communication_step: fan_out_step(reader),
    })
}

/// Reads the trace and counts in all layers; returns the tokens that are padding.
fn read(
    reader: &TraceReader,
    kinds: [Option<&Kinds>; 2],
    layers: &mut [LayerCounts],
    n_threads: usize,
) -> Result<u64, TraceReadError> {
    let mut n_padding = 0;
    let mut each = |chunk: TraceChunk| {
        n_padding += (0..chunk.n_tokens).filter(|&t| chunk.is_padding(t)).count() as u64;
        let [tokens_t, labels_t] = kinds.map(|kinds| match kinds {
            Some(kinds) => kinds.of_chunk(&chunk),
            None => vec![u16::MAX; chunk.n_tokens],
        });
        let counted = Counted {
            tokens_t,
            labels_t,
            chunk: &chunk,
            n_tokens: reader.n_tokens(),
            step: fan_out_step(reader),
        };
        count(layers, &counted, n_threads)
    };
    if reader.layers().iter().any(|layer| layer.has_logits) {
        reader.chunks().try_for_each(|chunk| each(chunk?))?;
    } else {
        reader.choices().try_for_each(|chunk| each(chunk?))?;
    }
    Ok(n_padding)
}

/// Counts a chunk in all layers, each thread some of them.
fn count(
    layers: &mut [LayerCounts],
    counted: &Counted<'_>,
    n_threads: usize,
) -> Result<(), TraceReadError> {
    let of_thread = layers.len().div_ceil(n_threads.max(1)).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = layers
            .chunks_mut(of_thread)
            .map(|layers| {
                scope.spawn(|| layers.iter_mut().try_for_each(|layer| layer.add(counted)))
            })
            .collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(counted) => counted,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    })
}

fn names(kinds: &Kinds, reader: &TraceReader) -> Vec<String> {
    let name = |&number: &u32| match reader.meta().labels.get(number as usize) {
        Some(name) => name.clone(),
        None => number.to_string(),
    };
    let mut names: Vec<String> = kinds.numbers.iter().map(name).collect();
    names.extend((kinds.others() > 0.0).then(|| "others".to_owned()));
    names
}

fn chains(layers: &[LayerCounts]) -> Vec<Chains> {
    let pairs = layers.iter().enumerate();
    pairs
        .filter_map(|(i, layer)| layer.pairs.finish(i))
        .collect()
}

fn communicated(
    layers: &[LayerCounts],
    options: &CommunicationOptions,
    d_model: usize,
) -> Communication {
    let worlds: Vec<_> = layers.iter().map(|layer| layer.worlds.clone()).collect();
    let sizes = RowSizes {
        d_model,
        tokens_per_rank: 0,
        flops_per_token: 0.0,
    };
    Communication::of(&worlds, options, sizes)
}

impl LayerCounts {
    fn finish(&self, [tokens, labels]: [Option<&Kinds>; 2]) -> ShownLayer {
        let floats = |counts: &[u64]| counts.iter().map(|&count| count as f64).collect();
        let load = Load {
            kept: floats(&self.kept),
            asked: floats(&self.asked),
            n_tokens: self.n_tokens as f64,
            statistic: Vec::new(),
        };
        let by_label = labels.map(|kinds| self.by_label.labels(kinds.n_named()));
        let by_token = tokens.map(|kinds| (self.by_token.labels(kinds.n_named()), kinds));
        let chance = |counts: &LabelCounts, squares: u64| {
            let rows = counts.counts.iter().map(|row| row.iter().sum());
            Chance::of_assignments(&rows.collect::<Vec<f64>>(), squares as f64)
        };
        ShownLayer {
            load_entropy: load_entropy(&load),
            entropy: self.entropy(),
            max_vio: max_vio(&load),
            drop_rate: drop_rate(&load),
            dead_experts: dead_experts(&load),
            mean_k: mean_k(&load),
            labels: by_label
                .map(|counts| Domains::of(&counts, &chance(&counts, self.labelled_squares))),
            token_information: by_token
                .as_ref()
                .map(|(counts, _)| Information::of(counts, &chance(counts, self.squares))),
            tokens: by_token.map_or_else(Vec::new, |(counts, kinds)| {
                let rows = counts.counts.iter();
                rows.map(|counts_v| taken(counts_v, kinds)).collect()
            }),
            computed: load.kept,
        }
    }
}

/// The tokens of an expert, with their ids.
fn taken(counts_v: &[f64], kinds: &Kinds) -> Vec<TokenLift> {
    let mut found = top_tokens(counts_v, &kinds.base, |_| String::new());
    // the last kind is that of all others
    found.retain(|token| (token.id as usize) < kinds.numbers.len());
    for token in &mut found {
        token.id = kinds.numbers[token.id as usize];
        token.text = token.id.to_string();
    }
    found
}

#[cfg(test)]
mod tests;
