//! The precision in which tokens travel to the experts and back.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

/// Precision of tokens on the way to the experts, and of outputs on the way back.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Exchange {
    /// As they are. The default.
    #[default]
    Exact,
    /// Rounded to bf16 on the way to the experts and on the way back, and so are their gradients; weights
    /// and sums are not. It is what V-MoE and Soft-MoE were published with, to save bandwidth.
    Bf16,
}

/// The nearest bf16, in the type of `x`; its gradient is rounded alike, where the device has bf16.
pub(crate) fn round_bf16<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let dtype = x.dtype();
    if x.device().supports_dtype(DType::BF16) {
        x.cast(DType::BF16).cast(dtype)
    } else {
        split_bf16(x)
    }
}

/// The nearest number of 8 significant bits by arithmetic in f32 (Dekker 1971, section 3), for devices
/// without bf16; the gradient passes as it is.
fn split_bf16<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    // 24 bits of an f32 less the 16 that go: 2^16 + 1
    let upper = x.clone().mul_scalar(65_537.0);
    upper.clone() - (upper - x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn numbers_split_as_they_round() {
        let device = Device::flex();
        let x = Tensor::<1>::random([4096], Distribution::Normal(0.0, 3.0), &device);
        let rounded = x.clone().cast(DType::BF16).cast(DType::F32);
        split_bf16(x)
            .into_data()
            .assert_eq(&rounded.into_data(), true);
    }
}
