//! Experts with biases, `down(act(up(x) + b_up)) + b_down`, by the operation without them.
//!
//! The biases before the non-linearity are weights of one more feature, which is 1 for every token. Those
//! after it are summed by what each token's experts weigh: `sum over a of gates_a b_down[e_a]`, a product
//! of two matrices.

use super::kernels::Rows;
use super::{ExpertBiases, ExpertWeights, fused};
use crate::reference::indices;
use crate::{Activation, RowPlan};
use burn::tensor::{IndexingUpdateOp, Tensor};
use std::sync::Arc;

/// The features that are added: one that is 1, and zeros, so that rows stay aligned.
const MORE: usize = 8;

/// As [`moe_ffn`](super::moe_ffn), of which it is the part for experts with biases.
pub(super) fn moe_ffn(
    x: Tensor<2>,
    weights: ExpertWeights,
    biases: ExpertBiases,
    gates: Tensor<1>,
    plan: Arc<RowPlan>,
    activation: Activation,
) -> Tensor<2> {
    // without a kept assignment no bias counts
    if plan.n_rows() == 0 {
        return fused(x, weights, gates, Rows::Host(plan), activation);
    }
    let weights = widened(weights, biases.gate, biases.up);
    around(x, biases.down, &gates, &plan, |x| {
        fused(
            x,
            weights,
            gates.clone(),
            Rows::Host(plan.clone()),
            activation,
        )
    })
}

/// The outputs of experts with biases, from `products` of tokens that have more features with [widened] stacks.
pub(crate) fn around(
    x: Tensor<2>,
    down_bias: Tensor<2>,
    gates: &Tensor<1>,
    plan: &RowPlan,
    products: impl FnOnce(Tensor<2>) -> Tensor<2>,
) -> Tensor<2> {
    let [n_tokens, d_model] = x.dims();
    let output_bias_td = shares(gates, plan).matmul(down_bias);
    let place = (&x.device(), x.dtype());
    let one_t1 = Tensor::ones([n_tokens, 1], place);
    let zeros_td = Tensor::zeros([n_tokens, MORE - 1], place);
    let x = Tensor::cat(vec![x, one_t1, zeros_td], 1);
    products(x).narrow(1, 0, d_model) + output_bias_td
}

/// Stacks for tokens of more features, whose weights are the biases before the non-linearity.
pub(crate) fn widened(
    weights: ExpertWeights,
    gate_bias: Option<Tensor<2>>,
    up_bias: Tensor<2>,
) -> ExpertWeights {
    let [n_experts, d_expert, _] = weights.down.dims();
    let place = (&weights.down.device(), up_bias.dtype());
    let zeros_efd = Tensor::zeros([n_experts, d_expert, MORE], place);
    let gate = weights.gate.zip(gate_bias);
    ExpertWeights {
        gate: gate.map(|(gate, bias)| with_bias(gate, bias)),
        up: with_bias(weights.up, up_bias),
        down: Tensor::cat(vec![weights.down, zeros_efd], 2),
        biases: None,
    }
}

/// Projections `[E, D, F]` and their biases `[E, F]` as projections of more features.
fn with_bias(stack: Tensor<3>, bias: Tensor<2>) -> Tensor<3> {
    let [n_experts, _, d_expert] = stack.dims();
    let zeros = Tensor::zeros(
        [n_experts, MORE - 1, d_expert],
        (&stack.device(), stack.dtype()),
    );
    Tensor::cat(vec![stack, bias.unsqueeze_dim(1), zeros], 1)
}

/// Weights of each expert for each token, `[T, E]`: the sums of the gates of kept assignments.
fn shares(gates: &Tensor<1>, plan: &RowPlan) -> Tensor<2> {
    let (n_tokens, n_experts) = (plan.n_tokens(), plan.n_experts());
    let device = gates.device();
    let mut pair_n = Vec::with_capacity(plan.n_rows());
    for expert in 0..n_experts {
        let tokens = &plan.rows_token()[plan.rows_of_expert(expert)];
        pair_n.extend(tokens.iter().map(|t| t * n_experts as u32 + expert as u32));
    }
    let gates_n = gates
        .clone()
        .select(0, indices(plan.rows_assignment(), &device));
    Tensor::zeros([n_tokens * n_experts], (&device, gates.dtype()))
        .select_assign(0, indices(&pair_n, &device), gates_n, IndexingUpdateOp::Add)
        .reshape([n_tokens, n_experts])
}
