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

use burn::backend::{Backend, backend_extension, tensor::FloatTensor};

#[cfg(any(feature = "ndarray", feature = "tch"))]
use super::blocks::Blocks;
use super::kernels::{FfnInputs, Gate, MoeKernels, Rows};
use crate::Activation;

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

    /// See [`moe_ffn`](crate::moe_ffn).
    fn ffn_of_experts(
        x: FloatTensor<Self>,
        #[extension_type] gate: Gate<Self>,
        up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        #[extension_type] rows: Rows<Self>,
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

            fn ffn_of_experts(
                x: FloatTensor<Self>,
                gate: Gate<Self>,
                up: FloatTensor<Self>,
                down: FloatTensor<Self>,
                gates: FloatTensor<Self>,
                rows: Rows<Self>,
                activation: Activation,
            ) -> FloatTensor<Self> {
                let gate = match gate {
                    Gate::Stack(gate) => Some(gate),
                    Gate::None => None,
                };
                Self::ffn_of(FfnInputs { x, gate, up, down, gates }, &rows, activation)
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
