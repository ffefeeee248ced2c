//! The score of a classifier on images.

use super::evaluate::Scope;
use super::metrics::{LayerMeter, add_meters, add_routings};
use super::{EvalMetrics, Watch};
use crate::data::{ImageBatch, ImageData};
use crate::task::best_classes;
use burn::tensor::Device;
use moe_models::NotFinite;
use moe_models::cross_entropy;
use moe_models::vmoe::{Grouping, Vmoe, VmoeConfig, VmoeInput};
use moe_router::to_vec;

/// Scores images, each once.
pub(super) fn score_images(
    model: &Vmoe,
    data: &ImageData,
    scope: &Scope<'_>,
    device: &Device,
    watch: &mut Watch<'_>,
) -> Result<Option<EvalMetrics>, NotFinite> {
    let mut sums = vec![ClassSum::default(); data.class_names().len()];
    let mut meters: Vec<LayerMeter> = Vec::new();
    let group = group_images(&model.config);
    let batches = data.eval_batches(scope.split, scope.most, scope.batch_size, group);
    let n_scored = batches.iter().map(|scored| scored.n_scored).sum();
    let score = |n: usize| score_batch(model, &batches[n].batch(), n, scope, device);
    let take = |n: usize, (losses, best, of_batch): Scored| {
        add_meters(&mut meters, &of_batch);
        let scored = &batches[n];
        // the images behind these fill the last group; each is scored once, where it comes first
        for (i, &label) in scored.batch().labels[..scored.n_scored].iter().enumerate() {
            let sum = &mut sums[usize::from(label)];
            sum.n_images += 1.0;
            sum.nats += f64::from(losses[i]);
            sum.n_right += f64::from(u8::from(best[i] == usize::from(label)));
        }
    };
    let all = scope.each(batches.len(), watch, n_scored, score, take)?;
    if all.is_none() {
        return Ok(None);
    }
    let total = sums.iter().fold(ClassSum::default(), ClassSum::plus);
    // a class need not be among a few images
    let seen = data.class_names().iter().cloned().zip(&sums);
    let seen = seen.filter(|(_, sum)| sum.n_images > 0.0);
    Ok(Some(EvalMetrics {
        accuracy: Some(total.accuracy()),
        loss: total.nats / total.n_images,
        n_images: Some(total.n_images as usize),
        domains: seen.map(|(name, sum)| (name, sum.accuracy())).collect(),
        layers: meters.iter().map(LayerMeter::metrics).collect(),
        ..scope.empty(n_scored, data.part(scope.split).len())
    }))
}

/// Losses, best classes and loads of a batch.
type Scored = (Vec<f32>, Vec<usize>, Vec<LayerMeter>);

/// Scores the `n`-th batch.
fn score_batch(
    model: &Vmoe,
    batch: &ImageBatch,
    n: usize,
    scope: &Scope<'_>,
    device: &Device,
) -> Result<Scored, NotFinite> {
    let output = model.forward(VmoeInput::new(batch.images(device)));
    let mut meters = Vec::new();
    add_routings(&mut meters, &output.routings);
    let best = best_classes(&output.logits);
    let losses = to_vec(cross_entropy(output.logits, batch.targets(device)));
    scope.check(&losses, n)?;
    Ok((losses, best, meters))
}

/// The images that must come together.
pub fn group_images(model: &VmoeConfig) -> usize {
    match model.grouping {
        Grouping::Images(n_images) if !model.moe_layers.is_empty() => n_images,
        Grouping::Images(_) => 1,
        Grouping::Tokens(_) => panic!("a run groups images"),
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct ClassSum {
    n_images: f64,
    n_right: f64,
    nats: f64,
}

impl ClassSum {
    fn plus(self, other: &Self) -> Self {
        Self {
            n_images: self.n_images + other.n_images,
            n_right: self.n_right + other.n_right,
            nats: self.nats + other.nats,
        }
    }

    fn accuracy(&self) -> f64 {
        self.n_right / self.n_images
    }
}
