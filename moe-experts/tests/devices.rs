//! The fused operation on every backend that is built in, at sizes of more than one tile, against the slow
//! loop on the CPU: output and all gradients. The laws check smaller cases, and more of them.

#![cfg(feature = "flex")]

use burn::tensor::{Device, Tensor, TensorData};
use moe_experts::{Activation, ExpertWeights, RowPlan, moe_ffn, reference};
use std::sync::Arc;

const N_TOKENS: usize = 700;
const D_MODEL: usize = 48;
const N_EXPERTS: usize = 6;
const D_EXPERT: usize = 72;
const TOP_K: usize = 3;

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
    Tensor::from_data(TensorData::new(values, shape), device).require_grad()
}

/// Expert 5 gets nothing, every eleventh assignment is dropped.
fn plan() -> Arc<RowPlan> {
    let ids = 0..(N_TOKENS * TOP_K) as u32;
    let tokens: Vec<u32> = ids.clone().map(|a| a / TOP_K as u32).collect();
    let experts: Vec<u32> = ids
        .clone()
        .map(|a| (a % TOP_K as u32 * 2 + a / TOP_K as u32 / 5) % 5)
        .collect();
    let kept: Vec<bool> = ids.map(|a| a % 11 != 0).collect();
    Arc::new(RowPlan::new(&tokens, &experts, &kept, N_TOKENS, N_EXPERTS))
}

/// Output, then the gradients of tokens, weights, up, down and, if any, gate.
fn results(
    activation: Activation,
    device: &Device,
    run: impl Fn(Tensor<2>, ExpertWeights, Tensor<1>) -> Tensor<2>,
) -> Vec<TensorData> {
    let device = &device.clone().autodiff();
    let [e, d, f] = [N_EXPERTS, D_MODEL, D_EXPERT];
    let x_td = tensor([N_TOKENS, d], 1, device);
    let weights_n = tensor([N_TOKENS * TOP_K], 2, device);
    let stacks = ExpertWeights {
        gate: activation.is_gated().then(|| tensor([e, d, f], 10, device)),
        up: tensor([e, d, f], 20, device),
        down: tensor([e, f, d], 30, device),
        biases: None,
    };
    let y_td = run(x_td.clone(), stacks.clone(), weights_n.clone());
    let target_td = tensor([N_TOKENS, d], 3, device);
    let grads = (y_td.clone() * target_td).sum().backward();
    let of = |gradient: Option<Tensor<3>>| gradient.expect("a gradient").into_data();
    let mut results = vec![
        y_td.into_data(),
        x_td.grad(&grads).expect("a gradient").into_data(),
        weights_n.grad(&grads).expect("a gradient").into_data(),
        of(stacks.up.grad(&grads)),
        of(stacks.down.grad(&grads)),
    ];
    results.extend(stacks.gate.map(|gate| of(gate.grad(&grads))));
    results
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

#[test]
fn every_backend_gives_what_the_slow_loop_gives() {
    let plan = plan();
    for activation in [Activation::SwiGlu, Activation::Gelu] {
        let slow = |x, w, g| reference::moe_ffn(x, w, g, &plan, activation);
        let expected = results(activation, &Device::flex(), slow);
        for (name, device) in devices() {
            let fast = |x, w, g| moe_ffn(x, w, g, plan.clone(), activation);
            let actual = results(activation, &device, fast);
            let worst = actual
                .iter()
                .zip(&expected)
                .map(|(a, e)| difference(a, e))
                .fold(0.0, f64::max);
            eprintln!(
                "{name} {activation:?}: differs by at most {worst:.1e} of the largest number"
            );
            assert!(worst < 1e-4, "{name} {activation:?}: {worst}");
        }
    }
}
