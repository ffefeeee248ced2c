//! Expert mixtures in closed form, without a plan of rows.

use crate::{Activation, ExpertWeights};
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu_approximate, relu, silu};

/// All experts on all tokens: `y_t = sum over e of weights_te expert_e(x_t)`, batched over experts.
pub(super) fn dense(
    x_td: Tensor<2>,
    stacks: &ExpertWeights,
    weights_te: Tensor<2>,
    activation: Activation,
) -> Tensor<2> {
    let [n_tokens, d_model] = x_td.dims();
    let [n_experts, _, _] = stacks.up.dims();
    let x_etd = x_td.unsqueeze::<3>().expand([n_experts, n_tokens, d_model]);
    let up_etf = x_etd.clone().matmul(stacks.up.clone());
    let hidden_etf = match (activation, &stacks.gate) {
        (Activation::SwiGlu, Some(gate)) => silu(x_etd.matmul(gate.clone())) * up_etf,
        (Activation::SwiGlu, None) => panic!("SwiGLU experts need a gate stack"),
        (Activation::Silu, _) => silu(up_etf),
        (Activation::Gelu, _) => gelu_approximate(up_etf),
        (Activation::Relu, _) => relu(up_etf),
    };
    let weights_et1 = weights_te.swap_dims(0, 1).unsqueeze_dim::<3>(2);
    let y_etd = hidden_etf.matmul(stacks.down.clone()) * weights_et1;
    y_etd.sum_dim(0).reshape([n_tokens, d_model])
}

/// The stacks of the first expert alone.
pub(super) fn first(stacks: &ExpertWeights) -> ExpertWeights {
    let first = |stack: &Tensor<3>| stack.clone().narrow(0, 0, 1);
    ExpertWeights {
        gate: stacks.gate.as_ref().map(first),
        up: first(&stacks.up),
        down: first(&stacks.down),
        biases: None,
    }
}
