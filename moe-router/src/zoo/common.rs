//! Functions shared by several routers.

use crate::parts::{Buffers, Claims, FillOrder, standard_normal};
use crate::{Assignments, NoisyLogits, RouterInput, RouterShape, Routing, to_vec};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, assert_shape};

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
pub(super) fn host<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    to_vec(tensor.clone().detach())
}

/// Adds `bias_e` to each row of `scores_te`.
pub(super) fn add_to_rows(scores_te: &mut [f32], bias_e: &[f32]) {
    for row_e in scores_te.chunks_mut(bias_e.len().max(1)) {
        row_e.iter_mut().zip(bias_e).for_each(|(s, b)| *s += b);
    }
}

/// The cosine between each token and each expert in f32; that of a zero is zero, its gradient finite.
///
/// # Shapes
///
/// - x_td: `[T, D]`
/// - w_de: `[D, E]`
/// - output: `[T, E]`
pub(super) fn cosine(x_td: Tensor<2>, w_de: Tensor<2>) -> Tensor<2> {
    let unit = |x: Tensor<2>, dim| {
        let length = (x.clone().square().sum_dim(dim) + 1e-12).sqrt();
        x / length
    };
    let x_td = unit(x_td.cast(DType::F32), 1);
    x_td.matmul(unit(w_de.cast(DType::F32), 0))
}

/// A routing without learned scores: the given `k` experts a token with weight `1 / k`.
pub(super) fn uniform(
    input: &RouterInput,
    assignments: Assignments,
    n_experts: usize,
    top_k: usize,
) -> Routing {
    let device = input.x_td.device();
    let n_tokens = input.n_tokens();
    let weights_a = Tensor::ones([assignments.len()], &device) / top_k as f64;
    let logits_te = Tensor::zeros([n_tokens, n_experts], &device);
    let probs_te = Tensor::ones([n_tokens, n_experts], &device) / n_experts as f64;
    Routing::sparse(assignments, weights_a, logits_te, probs_te)
        .groups(input.n_groups)
        .padding(input.padding.clone())
}

/// Noise of standard deviation 1, `[T, width]`: what was drawn already, or what the seed of the call
/// draws. None in evaluation, and if its weight is 0.
///
/// # Panics
///
/// Panics if what was drawn has another shape.
pub(super) fn noise(input: &RouterInput, width: usize, weight: f64) -> Option<Tensor<2>> {
    if weight <= 0.0 {
        return None;
    }
    let shape = [input.n_tokens(), width];
    if let Some(drawn) = &input.drawn_noise {
        assert_shape!(drawn, [input.n_tokens(), width]);
    }
    input.drawn_noise.clone().or_else(|| {
        let device = input.x_td.device();
        input
            .noise
            .map(|seed| standard_normal(seed, shape, &device))
    })
}

/// Logits with noise of the given standard deviation, `noise_te` being of standard deviation 1.
pub(super) fn noisy(logits_te: &Tensor<2>, noise_te: Tensor<2>, std: f64) -> NoisyLogits {
    NoisyLogits {
        logits: logits_te.clone() + noise_te * std,
        std: logits_te.full_like(std),
    }
}

/// Serves all first choices of a group before any second choice, each by position; a choice whose expert
/// is full is dropped.
pub(super) fn fill_by_choice(
    input: &RouterInput,
    asked: &Assignments,
    gates_te: &[f32],
    capacity_g: &[usize],
) -> Assignments {
    let buffers = Buffers {
        order: FillOrder::ChoiceByChoice,
        ..Default::default()
    };
    let claims = Claims {
        asked,
        ranking_te: gates_te,
        gates_te,
        capacity_g,
    };
    buffers.fill(input, &claims)
}
