//! Numbers that a model learns from in a micro-batch.

use super::{AnyModel, OtherTask, TaskBatch};
use crate::data::BatchTensors;
use burn::tensor::{Device, Tensor};
use moe_models::switch::target_losses;
use moe_models::vmoe::VmoeInput;
use moe_models::{Decoder, DecoderInput, cross_entropy, token_losses};
use moe_router::{Routing, to_vec};

/// Results of a micro-batch of training. Its means are over [`TaskBatch::n_targets`] predictions, by which
/// those of several micro-batches are weighted.
#[derive(Debug, Clone)]
pub struct TaskOutput {
    /// The mean loss of what is predicted, nats: `[1]`.
    pub loss: Tensor<1>,
    /// The mean loss of tokens after the next, if the model predicts them, not weighted: `[1]`.
    pub further: Option<Tensor<1>>,
    /// The share of right answers, of a classifier.
    pub accuracy: Option<f64>,
    /// Routings, layer by layer.
    pub routings: Vec<Routing>,
}

/// The place of each row's largest score, the first of equal ones.
///
/// # Shapes
///
/// - logits: `[B, n_classes]`
/// - output: `[B]`
pub fn best_classes(logits: &Tensor<2>) -> Vec<usize> {
    let [_, n_classes] = logits.dims();
    let scores = to_vec(logits.clone().detach());
    let best =
        |row: &[f32]| (0..n_classes).fold(0, |best, c| if row[c] > row[best] { c } else { best });
    scores.chunks(n_classes).map(best).collect()
}

fn n_right(logits: &Tensor<2>, labels: &[u16]) -> usize {
    let best = best_classes(logits);
    let pairs = best.iter().zip(labels);
    pairs
        .filter(|(best, label)| **best == usize::from(**label))
        .count()
}

impl AnyModel {
    /// Applies the forward pass of training to a micro-batch; `noise` is the seed of its noise.
    ///
    /// # Errors
    ///
    /// If the batch is of another task.
    pub fn learn(
        &self,
        batch: &TaskBatch,
        noise: u64,
        device: &Device,
    ) -> Result<TaskOutput, OtherTask> {
        Ok(match (self, batch) {
            (Self::Text(model), TaskBatch::Text(batch)) => {
                let batch = BatchTensors::new(batch, device);
                let input = DecoderInput::new(batch.inputs).noise(noise).further();
                let output = model.forward(input);
                TaskOutput {
                    further: output.further_loss(&batch.targets),
                    loss: token_losses(output.logits, batch.targets).mean(),
                    accuracy: None,
                    routings: output.routings,
                }
            }
            (Self::Images(model), TaskBatch::Images(batch)) => {
                let input = VmoeInput::new(batch.images(device)).noise(Some(noise));
                let output = model.forward(input);
                let right = n_right(&output.logits, &batch.labels);
                let losses = cross_entropy(output.logits, batch.targets(device));
                TaskOutput {
                    loss: losses.mean(),
                    further: None,
                    accuracy: Some(right as f64 / batch.labels.len() as f64),
                    routings: output.routings,
                }
            }
            (Self::Pairs(model), TaskBatch::Pairs(batch)) => {
                let output = model.forward(batch.input(device).noise(Some(noise)));
                let (targets, padding) = (batch.targets(device), batch.target_padding());
                TaskOutput {
                    loss: target_losses(output.logits, targets, Some(&padding)),
                    further: None,
                    accuracy: None,
                    routings: [output.encoder_routings, output.decoder_routings].concat(),
                }
            }
            _ => return Err(OtherTask),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_scores_is_the_answer() {
        let logits = Tensor::<2>::from_floats(
            [[0.0, 2.0, 1.0], [3.0, 3.0, 3.0], [-2.0, -3.0, -1.0]],
            &Device::flex(),
        );
        assert_eq!(best_classes(&logits), [1, 0, 2]);
        assert_eq!(n_right(&logits, &[1, 1, 2]), 2);
    }
}
