use super::{AnyModel, TaskBatch};
use crate::data::BatchTensors;
use burn::tensor::{Device, Tensor};
use moe_models::{Decoder, DecoderInput, token_losses};
use moe_router::Routing;

/// What a micro-batch of training gives.
#[derive(Debug, Clone)]
pub struct TaskOutput {
    /// The mean loss of what is predicted, nats: `[1]`.
    pub loss: Tensor<1>,
    /// The loss of tokens after the next, if the model predicts them, not weighted: `[1]`.
    pub further: Option<Tensor<1>>,
    /// The share of right answers, of a classifier.
    pub accuracy: Option<f64>,
    /// Who went where, layer by layer.
    pub routings: Vec<Routing>,
}

impl AnyModel {
    /// Applies the forward pass of training to a micro-batch; `noise` is the seed of its noise.
    ///
    /// # Panics
    ///
    /// Panics if the batch is of another task than the model.
    pub fn learn(&self, batch: &TaskBatch, noise: u64, device: &Device) -> TaskOutput {
        match (self, batch) {
            (Self::Decoder(model), TaskBatch::Text(batch)) => {
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
            _ => panic!("the batch is of another task than the model"),
        }
    }
}
