//! What several routers share.

use crate::{RouterInput, RouterShape, routing::to_vec};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor};

/// The gate `z = x W`, without a bias.
pub(super) fn gate(shape: &RouterShape, device: &Device) -> Linear {
    LinearConfig::new(shape.d_model, shape.n_experts)
        .with_bias(false)
        .init(device)
}

/// The gate's scores in f32, whatever the model's type, `[T, E]`.
pub(super) fn logits(gate: &Linear, input: &RouterInput) -> Tensor<2> {
    gate.forward(input.x_td.clone()).cast(DType::F32)
}

/// A tensor's values on the host, for selection.
pub(super) fn host(scores_te: &Tensor<2>) -> Vec<f32> {
    to_vec(scores_te.clone().detach())
}
