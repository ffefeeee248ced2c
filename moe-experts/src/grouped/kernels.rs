//! Operations that a backend computes, forward and backward, without knowing of differentiation.

use burn::backend::{Backend, tensor::FloatTensor};

use super::portable;
use crate::{Activation, RowPlan};

/// Inputs of the mixture feed-forward; `T` is a backend's tensor.
#[derive(Clone, Debug)]
pub struct FfnInputs<T> {
    /// `[n_tokens, d_model]`.
    pub x: T,
    /// `[n_experts, d_model, d_expert]`, if the activation is gated.
    pub gate: Option<T>,
    /// `[n_experts, d_model, d_expert]`.
    pub up: T,
    /// `[n_experts, d_expert, d_model]`.
    pub down: T,
    /// `[n_assignments]`.
    pub gates: T,
}

/// Pre-activations `[n_rows, d_expert]` that the backward pass reads.
#[derive(Clone, Debug)]
pub struct FfnKept<T> {
    pub gate: Option<T>,
    pub up: T,
}

/// The forward pass of a tracked call.
pub struct FfnTracked<T> {
    pub out: T,
    pub kept: FfnKept<T>,
}

/// The operations of this crate on one backend.
///
/// The provided bodies compose the backend's own operations, one expert after another; a backend
/// with a faster way overrides them.
pub trait MoeKernels: Backend {
    /// `[n_rows, d_out]` from `x [n_rows, d_in]` and `w [n_experts, d_in, d_out]`.
    fn product(x: FloatTensor<Self>, w: FloatTensor<Self>, ends: &[u32]) -> FloatTensor<Self> {
        portable::product::<Self>(x, w, ends)
    }

    /// Gradients of `x` and `w` from that of the product.
    fn product_backward(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        ends: &[u32],
        d_y: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        let d_x = portable::product_transposed::<Self>(d_y.clone(), w, ends);
        [d_x, portable::outer::<Self>(x, d_y, ends)]
    }

    /// `[n_tokens, d_model]`, keeping nothing.
    fn ffn(
        inputs: FfnInputs<FloatTensor<Self>>,
        plan: &RowPlan,
        activation: Activation,
    ) -> FloatTensor<Self> {
        portable::ffn::<Self>(inputs, plan, activation).out
    }

    /// `[n_tokens, d_model]`, with what the backward pass reads.
    fn ffn_tracked(
        inputs: FfnInputs<FloatTensor<Self>>,
        plan: &RowPlan,
        activation: Activation,
    ) -> FfnTracked<FloatTensor<Self>> {
        portable::ffn::<Self>(inputs, plan, activation)
    }

    /// Gradients of all inputs.
    fn ffn_backward(
        inputs: FfnInputs<FloatTensor<Self>>,
        kept: FfnKept<FloatTensor<Self>>,
        plan: &RowPlan,
        activation: Activation,
        d_out: FloatTensor<Self>,
    ) -> FfnInputs<FloatTensor<Self>> {
        portable::ffn_backward::<Self>(inputs, kept, plan, activation, d_out)
    }
}
