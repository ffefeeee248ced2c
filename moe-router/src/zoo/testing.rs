//! Fixtures shared by the tests of several routers.

use crate::{Plan, RouterShape, Routing};
use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};

/// A layer of `n` experts over tokens of width `n`.
pub fn shape(n: usize) -> RouterShape {
    RouterShape {
        d_model: n,
        n_experts: n,
        layer: 0,
    }
}

/// A gate whose logits are the tokens themselves.
pub fn identity_gate(n: usize, device: &Device) -> Linear {
    let mut gate = LinearConfig::new(n, n).with_bias(false).init(device);
    gate.weight = Param::from_tensor(Tensor::eye(n, device));
    gate
}

/// Tokens of width `n`, given row by row.
pub fn rows(values: &[f32], n: usize, device: &Device) -> Tensor<2> {
    Tensor::<1>::from_floats(values, device).reshape([values.len() / n, n])
}

/// The experts of a sparse plan.
pub fn experts(routing: &Routing) -> Vec<u32> {
    let Plan::Sparse(plan) = &routing.plan else {
        panic!("a sparse plan");
    };
    plan.assignments.experts().to_vec()
}

/// The weights of a sparse plan.
pub fn weights(routing: &Routing) -> TensorData {
    let Plan::Sparse(plan) = &routing.plan else {
        panic!("a sparse plan");
    };
    plan.weights.to_data()
}
