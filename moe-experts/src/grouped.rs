//! Grouped matrix products and the fused mixture feed-forward, as operations of their own.
//!
//! ```text
//! operation   what Burn sees: dispatch over backends, and the backward pass
//! kernels     what a backend computes, without knowing of differentiation
//! portable    those composed from any backend's primitives: gathers, products over blocks, elementwise steps
//! multiply    products of blocks of rows with a stack of matrices
//! places      the map between tokens, assignments and rows, as lists on a device
//! blocks      where each row lies, so that a few products serve all experts
//! cpu         those on the memory of Burn's CPU backend, with the one unsafe module, `cpu::kernel`
//! ```
//!
//! Rows sorted by expert meet a stack of expert matrices, the layout of MegaBlocks
//! (arXiv 2211.15841) and of grouped GEMM kernels. Slicing the stack under automatic differentiation
//! would allocate a full-size gradient per slice, so both operations bring their own backward pass.
//! On Burn's CPU backend they run on the tensors' memory; elsewhere they compose the backend's
//! primitives, and on a backend whose feature is off they fall back to [`reference`](crate::reference).

pub(crate) mod biased;
mod blocks;
#[cfg(feature = "flex")]
mod cpu;
mod devices;
mod kernels;
mod multiply;
mod operation;
mod places;
mod portable;
mod readable;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::{Tensor, assert_shape};

pub(crate) use self::blocks::{Blocks, STEP};
pub(crate) use self::devices::{is_far, is_listed};

use self::kernels::{Gate, Rows};
use self::operation::MoeBackend;
use self::readable::{all_readable, readable};
use crate::device_rows::DeviceRows;
use crate::{Activation, RowPlan, reference};

/// The weight stacks of a bank of experts.
#[derive(Clone, Debug)]
pub struct ExpertWeights {
    /// Gate projections, `[n_experts, d_model, d_expert]`; present if and only if the activation is gated.
    pub gate: Option<Tensor<3>>,
    /// Up projections, `[n_experts, d_model, d_expert]`.
    pub up: Tensor<3>,
    /// Down projections, `[n_experts, d_expert, d_model]`.
    pub down: Tensor<3>,
    /// The biases of the projections, if they have any.
    pub biases: Option<ExpertBiases>,
}

/// The biases of a bank of experts.
#[derive(Clone, Debug)]
pub struct ExpertBiases {
    /// Biases of the gate projections, `[n_experts, d_expert]`; present if and only if the activation is
    /// gated.
    pub gate: Option<Tensor<2>>,
    /// Biases of the up projections, `[n_experts, d_expert]`.
    pub up: Tensor<2>,
    /// Biases of the down projections, `[n_experts, d_model]`.
    pub down: Tensor<2>,
}

/// Multiplies every row by its expert's matrix: `y_n = x_n W_e` for the expert `e` of row `n`.
///
/// Differentiable in `x` and `w`. The matrices may be held in bf16 beside an `x` in f32: see
/// [`moe_ffn`].
///
/// # Shapes
///
/// - x: `[n_rows, d_in]`, rows sorted by expert
/// - w: `[n_experts, d_in, d_out]`
/// - ends: `[n_experts]`, cumulative row ends as in [`RowPlan::ends`]
/// - output: `[n_rows, d_out]`
///
/// # Panics
///
/// Panics if a shape disagrees, or if `ends` decreases or does not end at `n_rows`.
pub fn grouped_matmul(x: Tensor<2>, w: Tensor<3>, ends: impl Into<Arc<[u32]>>) -> Tensor<2> {
    let ends = ends.into();
    let [n_rows, d_in] = x.dims();
    assert_shape!(w, [ends.len(), d_in, _]);
    assert!(
        ends.is_sorted() && ends.last().copied().unwrap_or(0) as usize == n_rows,
        "grouped_matmul: ends {ends:?} must rise to the number of rows, {n_rows}"
    );
    let w = readable(w, &x);
    if !is_listed(&x) {
        return reference::grouped_matmul(x, w, &ends);
    }
    Tensor::from_dispatch(<Dispatch as MoeBackend>::grouped_matmul(
        x.into_dispatch(),
        w.into_dispatch(),
        ends,
    ))
}

/// Applies the experts to their tokens and sums the results by gate:
/// `y_t = sum over the kept assignments a of token t of gates_a expert_a(x_t)`.
///
/// An expert is `down(silu(x gate) * (x up))` or `down(act(x up))`, see [`Activation`], with biases after
/// each projection if the bank has them. A token without kept assignments gives zeros. Differentiable in
/// `x`, `gates`, every stack and every bias. On the CPU
/// backend the result and all gradients are the same bits for any number of threads.
///
/// The stacks may be held in bf16 beside an `x` in f32, which halves what a call reads. The CPU backend
/// reads them as they are and sums in f32, where nothing is differentiated (processors with AVX512-BF16
/// round the rows of more than a handful of tokens to bf16 too); elsewhere they are widened first.
///
/// On the CPU backend they may also be held in blocks of 8 or 4 bits (`moe_quant::quantize`). Rows are rounded
/// to blocks of 8 bits then, and there are no gradients.
///
/// # Shapes
///
/// - x: `[n_tokens, d_model]`
/// - weights: see [`ExpertWeights`]
/// - gates: `[n_assignments]`, those of dropped assignments are ignored
/// - output: `[n_tokens, d_model]`
///
/// # Panics
///
/// Panics if a shape disagrees with the plan or another shape, if the gate stack is present
/// without a gated activation or the reverse, or if stacks in blocks are differentiated.
pub fn moe_ffn(
    x: Tensor<2>,
    mut weights: ExpertWeights,
    gates: Tensor<1>,
    plan: Arc<RowPlan>,
    activation: Activation,
) -> Tensor<2> {
    check_ffn(&x, &weights, &gates, &plan, activation);
    weights = all_readable(weights, &x);
    if !is_listed(&x) {
        return reference::moe_ffn(x, weights, gates, &plan, activation);
    }
    // behind the reference, which adds the biases itself
    match weights.biases.take() {
        Some(biases) => biased::moe_ffn(x, weights, biases, gates, plan, activation),
        None => fused(x, weights, gates, Rows::Host(plan), activation),
    }
}

/// The same of rows that were planned on the tokens' device, of experts without biases on a device that is
/// [listed](is_listed).
pub(crate) fn moe_ffn_there(
    x: Tensor<2>,
    weights: ExpertWeights,
    gates: Tensor<1>,
    rows: DeviceRows,
    activation: Activation,
) -> Tensor<2> {
    let weights = all_readable(weights, &x);
    let rows = Rows::Device {
        places_a: rows.places_a.into_dispatch(),
        assignments_p: rows.assignments_p.into_dispatch(),
        shape: rows.shape,
    };
    fused(x, weights, gates, rows, activation)
}

/// The operation without biases.
fn fused(
    x: Tensor<2>,
    weights: ExpertWeights,
    gates: Tensor<1>,
    rows: Rows<Dispatch>,
    activation: Activation,
) -> Tensor<2> {
    let gate = match weights.gate {
        Some(gate) => Gate::Stack(gate.into_dispatch()),
        None => Gate::None,
    };
    Tensor::from_dispatch(<Dispatch as MoeBackend>::ffn_of_experts(
        x.into_dispatch(),
        gate,
        weights.up.into_dispatch(),
        weights.down.into_dispatch(),
        gates.into_dispatch(),
        rows,
        activation,
    ))
}

fn check_ffn(
    x: &Tensor<2>,
    weights: &ExpertWeights,
    gates: &Tensor<1>,
    plan: &RowPlan,
    activation: Activation,
) {
    let [_, d_model, d_expert] = weights.up.dims();
    let n_experts = plan.n_experts();
    assert_shape!(x, [plan.n_tokens(), d_model]);
    assert_shape!(weights.up, [n_experts, d_model, d_expert]);
    assert_shape!(weights.down, [n_experts, d_expert, d_model]);
    assert_shape!(gates, [plan.n_assignments()]);
    assert_eq!(
        weights.gate.is_some(),
        activation.is_gated(),
        "moe_ffn: a gate stack goes with a gated activation, got {activation:?}"
    );
    if let Some(gate) = &weights.gate {
        assert_shape!(gate, [n_experts, d_model, d_expert]);
    }
    if let Some(biases) = &weights.biases {
        assert_shape!(biases.up, [n_experts, d_expert]);
        assert_shape!(biases.down, [n_experts, d_model]);
        assert_eq!(
            biases.gate.is_some(),
            activation.is_gated(),
            "moe_ffn: biases of a gate go with a gated activation, got {activation:?}"
        );
        if let Some(gate) = &biases.gate {
            assert_shape!(gate, [n_experts, d_expert]);
        }
    }
}
