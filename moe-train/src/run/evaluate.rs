use super::EvalMetrics;
use super::metrics::{LayerMeter, add_routings};
use crate::data::{BatchTensors, EvalBatch, Split, TextData};
use burn::tensor::Device;
use moe_models::{AnyDecoder, Decoder, DecoderInput, token_losses};
use moe_router::to_vec;
use std::collections::BTreeMap;
use std::f64::consts::LN_2;

/// Scores a part of the data with the model in evaluation: windows of `seq_length` tokens in which
/// each token is scored once, with half a window of text before it (at the start of a domain less).
///
/// At most `max_windows` evenly spaced windows, if given.
pub fn evaluate(
    model: &AnyDecoder,
    data: &TextData,
    split: Split,
    max_windows: Option<usize>,
    batch_size: usize,
    device: &Device,
) -> EvalMetrics {
    let windows = data.eval_windows(split, data.seq_length() / 2, max_windows);
    let mut sums = vec![DomainSum::default(); data.domain_names().len()];
    let mut meters: Vec<LayerMeter> = Vec::new();
    for batch in windows.batches(batch_size) {
        let tensors = BatchTensors::new(&batch.batch, device);
        let output = model.forward(DecoderInput::new(tensors.inputs));
        add_routings(&mut meters, &output.routings);
        let losses = to_vec(token_losses(output.logits, tensors.targets));
        add_losses(&mut sums, &batch, &losses, data);
    }
    let total = sums.iter().fold(DomainSum::default(), DomainSum::plus);
    EvalMetrics {
        step: 0,
        split: split.to_string(),
        whole: max_windows.is_none(),
        bits_per_byte: total.bits_per_byte(),
        loss: total.nats / total.n_tokens.max(1.0),
        n_bytes: total.n_bytes as usize,
        domains: data
            .domain_names()
            .iter()
            .cloned()
            .zip(sums.iter().map(DomainSum::bits_per_byte))
            .collect::<BTreeMap<_, _>>(),
        layers: meters.iter().map(LayerMeter::metrics).collect(),
    }
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
            sum.nats += f64::from(losses[position]);
            sum.n_tokens += 1.0;
        }
    }
}
