//! The backend of a tensor.

use burn::backend::{Autodiff, Flex};
use burn::tensor::{DType, Tensor};

/// Tells whether a tensor is one of the pure-Rust CPU backend, in f32, whose memory an operation can read.
pub(crate) fn is_flex_f32<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32
        && (x.clone().try_into_primitive::<Flex>().is_ok()
            || x.clone().try_into_primitive::<Autodiff<Flex>>().is_ok())
}
