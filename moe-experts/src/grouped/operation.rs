//! The operations as an extension of Burn's backends, with their own backward pass.

// Two of the backends are deprecated by Burn but still supported here.
#![allow(deprecated)]
// Without any backend the generated dispatch has nobody to pass its arguments to.
#![cfg_attr(
    not(any(
        feature = "flex",
        feature = "cube",
        feature = "ndarray",
        feature = "tch"
    )),
    allow(unused_variables)
)]

mod autodiff;

use std::sync::Arc;

use burn::backend::{
    Backend, backend_extension,
    tensor::{FloatTensor, IntTensor},
};

#[cfg(any(feature = "ndarray", feature = "tch"))]
use super::blocks::Blocks;
use super::kernels::{FfnInputs, MoeKernels, PlannedThere, Rows};
use crate::device_rows::DeviceShape;
use crate::{Activation, RowPlan};

/// A backend that runs grouped products and mixture feed-forwards.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "cube"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Autodiff
)]
pub trait MoeBackend: Backend {
    /// See [`grouped_matmul`](crate::grouped_matmul).
    fn grouped_matmul(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        ends: Arc<[u32]>,
    ) -> FloatTensor<Self>;

    /// See [`moe_ffn`](crate::moe_ffn); three weight stacks.
    fn gated_ffn(
        x: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        plan: Arc<RowPlan>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// See [`moe_ffn`](crate::moe_ffn); two weight stacks.
    fn plain_ffn(
        x: FloatTensor<Self>,
        up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        plan: Arc<RowPlan>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// [`gated_ffn`](Self::gated_ffn) of rows that were planned on the device.
    #[allow(clippy::too_many_arguments)]
    fn gated_ffn_there(
        x: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        places_a: IntTensor<Self>,
        assignments_p: IntTensor<Self>,
        shape: DeviceShape,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// [`plain_ffn`](Self::plain_ffn) of rows that were planned on the device.
    #[allow(clippy::too_many_arguments)]
    fn plain_ffn_there(
        x: FloatTensor<Self>,
        up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        places_a: IntTensor<Self>,
        assignments_p: IntTensor<Self>,
        shape: DeviceShape,
        activation: Activation,
    ) -> FloatTensor<Self>;
}

/// A backend without differentiation runs its kernels.
macro_rules! run_kernels {
    ($($feature:literal $backend:ident),*) => {$(
        #[cfg(feature = $feature)]
        impl MoeBackend for burn::backend::$backend {
            fn grouped_matmul(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                ends: Arc<[u32]>,
            ) -> FloatTensor<Self> {
                Self::product(x, w, &ends)
            }

            fn gated_ffn(
                x: FloatTensor<Self>,
                gate: FloatTensor<Self>,
                up: FloatTensor<Self>,
                down: FloatTensor<Self>,
                gates: FloatTensor<Self>,
                plan: Arc<RowPlan>,
                activation: Activation,
            ) -> FloatTensor<Self> {
                let inputs = FfnInputs { x, gate: Some(gate), up, down, gates };
                Self::ffn(inputs, &plan, activation)
            }

            fn plain_ffn(
                x: FloatTensor<Self>,
                up: FloatTensor<Self>,
                down: FloatTensor<Self>,
                gates: FloatTensor<Self>,
                plan: Arc<RowPlan>,
                activation: Activation,
            ) -> FloatTensor<Self> {
                let inputs = FfnInputs { x, gate: None, up, down, gates };
                Self::ffn(inputs, &plan, activation)
            }

            fn gated_ffn_there(
                x: FloatTensor<Self>,
                gate: FloatTensor<Self>,
                up: FloatTensor<Self>,
                down: FloatTensor<Self>,
                gates: FloatTensor<Self>,
                places_a: IntTensor<Self>,
                assignments_p: IntTensor<Self>,
                shape: DeviceShape,
                activation: Activation,
            ) -> FloatTensor<Self> {
                let rows = Rows::Device(PlannedThere { places_a, assignments_p, shape });
                let inputs = FfnInputs { x, gate: Some(gate), up, down, gates };
                Self::ffn_of(inputs, &rows, activation)
            }

            fn plain_ffn_there(
                x: FloatTensor<Self>,
                up: FloatTensor<Self>,
                down: FloatTensor<Self>,
                gates: FloatTensor<Self>,
                places_a: IntTensor<Self>,
                assignments_p: IntTensor<Self>,
                shape: DeviceShape,
                activation: Activation,
            ) -> FloatTensor<Self> {
                let rows = Rows::Device(PlannedThere { places_a, assignments_p, shape });
                let inputs = FfnInputs { x, gate: None, up, down, gates };
                Self::ffn_of(inputs, &rows, activation)
            }
        }
    )*};
}
run_kernels!("flex" Flex, "cube" Cube, "ndarray" NdArray, "tch" LibTorch);

#[cfg(feature = "cube")]
impl MoeKernels for burn::backend::Cube {}
#[cfg(feature = "ndarray")]
impl MoeKernels for burn::backend::NdArray {
    fn blocks(ends: &[u32], _: &Self::Device) -> Blocks {
        Blocks::by_expert(ends)
    }
}
#[cfg(feature = "tch")]
impl MoeKernels for burn::backend::LibTorch {
    fn blocks(ends: &[u32], device: &Self::Device) -> Blocks {
        // the default device is the CPU, where there is no launch to save
        if *device == Self::Device::default() {
            Blocks::by_expert(ends)
        } else {
            Blocks::padded(ends)
        }
    }
}
