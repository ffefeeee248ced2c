//! The score of a decoder on windows of text.

use super::evaluate::Scope;
use super::metrics::{LayerMeter, add_meters, add_routings};
use super::{EvalMetrics, Watch};
use crate::data::{BatchTensors, EvalBatch, TextData};
use burn::tensor::Device;
use moe_models::{AnyDecoder, Decoder, DecoderInput, NotFinite, token_losses};
use moe_router::to_vec;
use std::f64::consts::LN_2;

/// Scores windows of `seq_length` tokens in which each token is scored once, with half a window of text
/// before it (at the start of a domain less).
pub(super) fn score_text(
    model: &AnyDecoder,
    data: &TextData,
    scope: &Scope<'_>,
    device: &Device,
    watch: &mut Watch<'_>,
) -> Result<Option<EvalMetrics>, NotFinite> {
    let windows = data.eval_windows(scope.split, data.seq_length() / 2, scope.most);
    let mut sums = vec![DomainSum::default(); data.domain_names().len()];
    let mut meters: Vec<LayerMeter> = Vec::new();
    let batch = |n| windows.batch(n, scope.batch_size);
    let score = |n: usize| score_batch(model, &batch(n), n, scope, device);
    let take = |n: usize, (losses, of_batch): Scored| {
        add_meters(&mut meters, &of_batch);
        add_losses(&mut sums, &batch(n), &losses, data);
    };
    let n_batches = windows.len().div_ceil(scope.batch_size);
    let all = scope.each(n_batches, watch, windows.len(), score, take)?;
    if all.is_none() {
        return Ok(None);
    }
    let total = sums.iter().fold(DomainSum::default(), DomainSum::plus);
    Ok(Some(EvalMetrics {
        bits_per_byte: Some(total.bits_per_byte()),
        loss: total.nats / total.n_tokens.max(1.0),
        n_bytes: Some(total.n_bytes as usize),
        domains: data
            .domain_names()
            .iter()
            .cloned()
            .zip(sums.iter().map(DomainSum::bits_per_byte))
            .collect(),
        layers: meters.iter().map(LayerMeter::metrics).collect(),
        ..scope.empty(windows.len(), windows.n_all())
    }))
}

/// Losses and loads of a batch.
type Scored = (Vec<f32>, Vec<LayerMeter>);

/// Scores the `n`-th batch.
fn score_batch(
    model: &AnyDecoder,
    batch: &EvalBatch,
    n: usize,
    scope: &Scope<'_>,
    device: &Device,
) -> Result<Scored, NotFinite> {
    let tensors = BatchTensors::new(&batch.batch, device);
    let output = model.forward(DecoderInput::new(tensors.inputs));
    let mut meters = Vec::new();
    add_routings(&mut meters, &output.routings);
    let losses = to_vec(token_losses(output.logits, tensors.targets));
    scope.check(&losses, n)?;
    Ok((losses, meters))
}

#[derive(Debug, Clone, Copy, Default)]
struct DomainSum {
    nats: f64,
    n_tokens: f64,
    n_bytes: f64,
}

impl DomainSum {
    fn plus(self, other: &Self) -> Self {
        Self {
            nats: self.nats + other.nats,
            n_tokens: self.n_tokens + other.n_tokens,
            n_bytes: self.n_bytes + other.n_bytes,
        }
    }

    fn bits_per_byte(&self) -> f64 {
        self.nats / LN_2 / self.n_bytes.max(1.0)
    }
}

fn add_losses(sums: &mut [DomainSum], batch: &EvalBatch, losses: &[f32], data: &TextData) {
    let length = batch.batch.seq_length;
    let bytes = batch.scored_bytes(data.vocab());
    for (row, &domain) in batch.batch.domains.iter().enumerate() {
        let positions = row * length..(row + 1) * length;
        let sum = &mut sums[domain as usize];
        sum.n_bytes += bytes[row] as f64;
        for position in positions.filter(|&p| batch.scored[p]) {
            // in f64, position after position: the order of the sum does not depend on the batch size
            sum.nats += f64::from(losses[position]);
            sum.n_tokens += 1.0;
        }
    }
}
