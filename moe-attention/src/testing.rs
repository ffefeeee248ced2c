//! Tensors for tests: fixed values that need no random state shared between threads.

use burn::tensor::{Device, Tensor, TensorData, Tolerance};

/// Values spread over -1..1, different for each `salt`.
pub fn values<const D: usize>(shape: [usize; D], salt: u64, device: &Device) -> Tensor<D> {
    let mut state = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let data: Vec<f32> = std::iter::repeat_with(next)
        .take(shape.iter().product())
        .collect();
    Tensor::from_data(TensorData::new(data, shape), device)
}

/// Asserts that two tensors are equal to `tolerance`, relative or absolute.
pub fn assert_close<const D: usize>(actual: Tensor<D>, expected: Tensor<D>, tolerance: f32) {
    assert_eq!(actual.dims(), expected.dims());
    let tolerance = Tolerance::<f32>::rel_abs(tolerance, tolerance);
    actual
        .into_data()
        .assert_approx_eq(&expected.into_data(), tolerance);
}

/// Asserts that two tensors are equal to the bit.
pub fn assert_same<const D: usize>(actual: Tensor<D>, expected: Tensor<D>) {
    actual.into_data().assert_eq(&expected.into_data(), true);
}
