//! Operations that a backend computes, forward and backward, without knowing of differentiation.

use std::sync::Arc;

use burn::backend::{
    Backend, ExtensionType, TensorMetadata,
    tensor::{FloatTensor, IntTensor},
};

use super::blocks::Blocks;
use super::places::Places;
use super::portable;
use crate::device_rows::DeviceShape;
use crate::{Activation, RowPlan};

/// The rows of each expert, planned on the host or on a device.
#[derive(ExtensionType, Clone, Debug)]
pub enum Rows<B: Backend> {
    /// Lists of the host.
    Host(Arc<RowPlan>),
    /// Lists of the device: see [`DeviceRows`](crate::device_rows::DeviceRows).
    Device {
        places_a: IntTensor<B>,
        assignments_p: IntTensor<B>,
        shape: DeviceShape,
    },
}

/// The gate stack, if the activation is gated.
#[derive(ExtensionType, Clone, Debug)]
pub enum Gate<B: Backend> {
    /// `[n_experts, d_model, d_expert]`.
    Stack(FloatTensor<B>),
    /// The activation is not gated.
    None,
}

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

/// Pre-activations `[n_rows, d_expert]`, or `[n_places, d_expert]` of [`Blocks`], that the backward pass reads.
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
/// The provided bodies compose the backend's own operations; a backend with a faster way overrides them.
pub trait MoeKernels: Backend {
    /// The places on a device of rows that end at `ends`, which say how many products serve all experts.
    fn blocks(ends: &[u32], _: &Self::Device) -> Blocks {
        Blocks::padded(ends)
    }

    /// The places of the rows of a plan on the device of `like`.
    fn places(plan: &RowPlan, like: &FloatTensor<Self>) -> Places<Self> {
        Places::of_plan(plan, Self::blocks(plan.ends(), &like.device()), like)
    }

    /// `[n_rows, d_out]` from `x [n_rows, d_in]` and `w [n_experts, d_in, d_out]`.
    fn product(x: FloatTensor<Self>, w: FloatTensor<Self>, ends: &[u32]) -> FloatTensor<Self> {
        let blocks = Self::blocks(ends, &x.device());
        portable::product::<Self>(x, w, &blocks)
    }

    /// Gradients of `x` and `w` from that of the product.
    fn product_backward(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        ends: &[u32],
        d_y: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        let blocks = Self::blocks(ends, &x.device());
        portable::product_backward::<Self>(x, w, &blocks, d_y)
    }

    /// `[n_tokens, d_model]`, keeping nothing.
    fn ffn(
        inputs: FfnInputs<FloatTensor<Self>>,
        plan: &RowPlan,
        activation: Activation,
    ) -> FloatTensor<Self> {
        Self::ffn_tracked(inputs, plan, activation).out
    }

    /// `[n_tokens, d_model]`, with what the backward pass reads.
    fn ffn_tracked(
        inputs: FfnInputs<FloatTensor<Self>>,
        plan: &RowPlan,
        activation: Activation,
    ) -> FfnTracked<FloatTensor<Self>> {
        let places = Self::places(plan, &inputs.x);
        portable::ffn::<Self>(inputs, &places, activation)
    }

    /// Gradients of all inputs.
    fn ffn_backward(
        inputs: FfnInputs<FloatTensor<Self>>,
        kept: FfnKept<FloatTensor<Self>>,
        plan: &RowPlan,
        activation: Activation,
        d_out: FloatTensor<Self>,
    ) -> FfnInputs<FloatTensor<Self>> {
        let places = Self::places(plan, &inputs.x);
        portable::ffn_backward::<Self>(inputs, kept, &places, activation, d_out)
    }

    /// [`ffn`](Self::ffn) of rows that are planned anywhere.
    fn ffn_of(
        inputs: FfnInputs<FloatTensor<Self>>,
        rows: &Rows<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        match rows {
            Rows::Host(plan) => Self::ffn(inputs, plan, activation),
            Rows::Device { .. } => Self::ffn_tracked_of(inputs, rows, activation).out,
        }
    }

    /// [`ffn_tracked`](Self::ffn_tracked) of rows that are planned anywhere.
    fn ffn_tracked_of(
        inputs: FfnInputs<FloatTensor<Self>>,
        rows: &Rows<Self>,
        activation: Activation,
    ) -> FfnTracked<FloatTensor<Self>> {
        match rows {
            Rows::Host(plan) => Self::ffn_tracked(inputs, plan, activation),
            Rows::Device {
                places_a,
                assignments_p,
                shape,
            } => {
                let places = Places::of_device(places_a, assignments_p, shape);
                portable::ffn::<Self>(inputs, &places, activation)
            }
        }
    }

    /// [`ffn_backward`](Self::ffn_backward) of rows that are planned anywhere.
    fn ffn_backward_of(
        inputs: FfnInputs<FloatTensor<Self>>,
        kept: FfnKept<FloatTensor<Self>>,
        rows: &Rows<Self>,
        activation: Activation,
        d_out: FloatTensor<Self>,
    ) -> FfnInputs<FloatTensor<Self>> {
        match rows {
            Rows::Host(plan) => Self::ffn_backward(inputs, kept, plan, activation, d_out),
            Rows::Device {
                places_a,
                assignments_p,
                shape,
            } => {
                let places = Places::of_device(places_a, assignments_p, shape);
                portable::ffn_backward::<Self>(inputs, kept, &places, activation, d_out)
            }
        }
    }
}
