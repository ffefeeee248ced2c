//! Every backend that is built in against the CPU: the operations of experts and of attention, their gradients, and what the
//! host reads.

#![cfg(feature = "flex")]

mod attention;
mod experts;

use burn::tensor::{Device, Tensor, TensorData};

/// The backends of this build.
fn devices() -> Vec<(&'static str, Device)> {
    #[allow(unused_mut)]
    let mut devices = vec![("flex", Device::flex())];
    #[cfg(feature = "ndarray")]
    #[allow(deprecated)] // the framework still has it
    devices.push(("ndarray", Device::ndarray()));
    #[cfg(feature = "wgpu")]
    devices.push((
        "wgpu",
        Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
    ));
    #[cfg(feature = "cpu")]
    devices.push(("cubecl-cpu", Device::cpu()));
    #[cfg(feature = "tch")]
    #[allow(deprecated)] // the framework still has it
    devices.push(("tch", Device::libtorch()));
    devices
}

/// Values in (-1, 1) from a multiplicative hash of their index.
fn tensor<const D: usize>(shape: [usize; D], salt: u32, device: &Device) -> Tensor<D> {
    let hash = |i: u32| (i + salt).wrapping_mul(2_654_435_761) >> 8;
    let values: Vec<f32> = (0..shape.iter().product::<usize>() as u32)
        .map(|i| hash(i) as f32 / (1 << 23) as f32 - 1.0)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The largest difference as a part of the largest number.
fn difference(actual: &TensorData, expected: &TensorData) -> f64 {
    assert_eq!(actual.shape(), expected.shape());
    let largest = expected
        .iter::<f64>()
        .fold(0.0, |max: f64, e| max.max(e.abs()));
    let pairs = actual.iter::<f64>().zip(expected.iter::<f64>());
    pairs.fold(0.0, |max: f64, (a, e)| max.max((a - e).abs())) / largest
}
