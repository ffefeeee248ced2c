//! The experts as the papers write them: a loop over experts in plain tensor operations.
//!
//! `y = sum over experts e of G(x)_e E_e(x)`, equation 1 of arXiv 1701.06538, with the experts that a
//! token did not choose left out. Slow and readable; the fast path is held equal to it, gradients
//! included.

use burn::tensor::activation::{gelu_approximate, relu, silu};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

use crate::{Activation, ExpertWeights, RowPlan, plan::block};

/// The reference of [`moe_ffn`](crate::moe_ffn), in the same shapes.
///
/// # Panics
///
/// Panics if a shape disagrees with the plan or another shape.
pub fn moe_ffn(
    x: Tensor<2>,
    weights: ExpertWeights,
    gates: Tensor<1>,
    plan: &RowPlan,
    activation: Activation,
) -> Tensor<2> {
    let device = x.device();
    let mut y_td = x.zeros_like();
    for expert in 0..plan.n_experts() {
        let rows = plan.rows_of_expert(expert);
        if rows.is_empty() {
            continue;
        }
        let tokens = indices(&plan.rows_token()[rows.clone()], &device);
        let assignments = indices(&plan.rows_assignment()[rows], &device);
        let y_nd = ffn(
            x.clone().select(0, tokens.clone()),
            &weights,
            expert,
            activation,
        );
        let gates_n1 = gates.clone().select(0, assignments).unsqueeze_dim(1);
        y_td = y_td.select_assign(0, tokens, y_nd * gates_n1, IndexingUpdateOp::Add);
    }
    y_td
}

/// The reference of [`grouped_matmul`](crate::grouped_matmul), in the same shapes.
///
/// # Panics
///
/// Panics if a shape disagrees.
pub fn grouped_matmul(x: Tensor<2>, w: Tensor<3>, ends: &[u32]) -> Tensor<2> {
    let d_out = w.dims()[2];
    let products: Vec<_> = (0..ends.len())
        .map(|expert| (expert, block(ends, expert)))
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(expert, rows)| x.clone().slice([rows]).matmul(matrix(&w, expert)))
        .collect();
    if products.is_empty() {
        return Tensor::zeros([0, d_out], (&x.device(), x.dtype()));
    }
    Tensor::cat(products, 0)
}

/// One expert on its rows, `[n_rows, d_model]` to the same.
fn ffn(x: Tensor<2>, weights: &ExpertWeights, expert: usize, activation: Activation) -> Tensor<2> {
    let biases = weights.biases.as_ref();
    let biased = |y: Tensor<2>, bias: Option<&Tensor<2>>| match bias {
        Some(bias) => y + bias.clone().slice_dim(0, expert..expert + 1),
        None => y,
    };
    let up = x.clone().matmul(matrix(&weights.up, expert));
    let up = biased(up, biases.map(|biases| &biases.up));
    let hidden = match (activation, &weights.gate) {
        (Activation::SwiGlu, Some(gate)) => {
            let gate = x.matmul(matrix(gate, expert));
            silu(biased(gate, biases.and_then(|biases| biases.gate.as_ref()))) * up
        }
        (Activation::SwiGlu, None) => panic!("SwiGLU experts need a gate stack"),
        (Activation::Silu, _) => silu(up),
        (Activation::Gelu, _) => gelu_approximate(up),
        (Activation::Relu, _) => relu(up),
    };
    let down = hidden.matmul(matrix(&weights.down, expert));
    biased(down, biases.map(|biases| &biases.down))
}

fn matrix(stack: &Tensor<3>, expert: usize) -> Tensor<2> {
    stack
        .clone()
        .slice_dim(0, expert..expert + 1)
        .squeeze_dim(0)
}

pub(crate) fn indices(ids: &[u32], device: &Device) -> Tensor<1, Int> {
    let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    let shape = [ids.len()];
    Tensor::from_data(TensorData::new(ids, shape), device)
}
