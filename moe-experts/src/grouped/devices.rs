//! What the backend of a tensor can do.

use burn::backend::{DispatchTensor, DispatchTensorKind};
use burn::tensor::{DType, Tensor};

/// Returns `true` if the backend of a stack in bf16 has products that read it as it is.
pub(super) fn reads_bf16(stack: &Tensor<3>) -> bool {
    let DispatchTensor { kind, .. } = stack.clone().into_dispatch();
    match kind {
        #[cfg(feature = "flex")]
        DispatchTensorKind::Flex(_) => stack.dtype() == DType::BF16,
        // an autodiff tensor too: gradients of stacks are computed in f32 alone
        #[allow(unreachable_patterns)]
        _ => false,
    }
}

/// Returns `true` if the host would wait for the tensor's device to read from it, and the operations know the device.
pub(crate) fn is_far<const D: usize>(x: &Tensor<D>) -> bool {
    fn is_far_kind(kind: &DispatchTensorKind) -> bool {
        match kind {
            DispatchTensorKind::Autodiff(inner) => is_far_kind(inner),
            #[cfg(feature = "cube")]
            DispatchTensorKind::Cube(_) => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }
    let DispatchTensor { kind, .. } = x.clone().into_dispatch();
    is_far_kind(&kind)
}

/// Returns `true` if the operations know the tensor's backend, that is, if this crate has its feature.
pub(crate) fn is_listed<const D: usize>(x: &Tensor<D>) -> bool {
    fn is_listed_kind(kind: &DispatchTensorKind) -> bool {
        match kind {
            DispatchTensorKind::Autodiff(inner) => is_listed_kind(inner),
            #[cfg(feature = "flex")]
            DispatchTensorKind::Flex(_) => true,
            #[cfg(feature = "cube")]
            DispatchTensorKind::Cube(_) => true,
            #[cfg(feature = "ndarray")]
            DispatchTensorKind::NdArray(_) => true,
            #[cfg(feature = "tch")]
            DispatchTensorKind::LibTorch(_) => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }
    let DispatchTensor { kind, .. } = x.clone().into_dispatch();
    is_listed_kind(&kind)
}
