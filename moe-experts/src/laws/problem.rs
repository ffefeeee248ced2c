//! Problems on the host: the operands of an executor.

use super::outcome::{Outcome, Part};
use super::subject::Executor;
use crate::{Activation, ExpertBiases, ExpertWeights, RowPlan};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use std::sync::Arc;

/// An assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub token: usize,
    pub expert: usize,
    pub kept: bool,
}

/// A problem on the host: what an executor gets, which a law may change before it does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub n_tokens: usize,
    pub n_experts: usize,
    pub d_model: usize,
    pub d_expert: usize,
    pub activation: Activation,
    /// Tokens, `[T, D]`.
    pub x: Vec<f64>,
    /// The gradient that arrives at the output, `[T, D]`.
    pub target: Vec<f64>,
    /// The assignments, `[A]`.
    pub entries: Vec<Entry>,
    /// The weight of each assignment, `[A]`.
    pub weights: Vec<f64>,
    /// Stacks, `[E, D, F]`, `[E, D, F]` and `[E, F, D]`.
    pub gate: Option<Vec<f64>>,
    pub up: Vec<f64>,
    pub down: Vec<f64>,
    /// The biases of the projections, if they have any.
    pub biases: Option<ProblemBiases>,
}

/// Biases, `[E, F]`, `[E, F]` and `[E, D]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ProblemBiases {
    pub gate: Option<Vec<f64>>,
    pub up: Vec<f64>,
    pub down: Vec<f64>,
}

/// Device and precision of numbers.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub device: Device,
    pub dtype: DType,
}

impl Place {
    /// Device and precision of a tensor.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Self {
        Self {
            device: tensor.device(),
            dtype: tensor.dtype(),
        }
    }
}

impl Problem {
    /// The rows of the assignments.
    pub fn plan(&self) -> RowPlan {
        let of = |id: fn(&Entry) -> usize| -> Vec<u32> {
            self.entries.iter().map(|entry| id(entry) as u32).collect()
        };
        let kept: Vec<bool> = self.entries.iter().map(|entry| entry.kept).collect();
        let (tokens, experts) = (of(|entry| entry.token), of(|entry| entry.expert));
        RowPlan::new(&tokens, &experts, &kept, self.n_tokens, self.n_experts)
    }

    /// The output of an executor and the gradients of all that it got.
    pub fn measure(&self, executor: &Executor<'_>, place: &Place) -> Outcome {
        let place = &Place {
            device: place.device.clone().autodiff(),
            dtype: place.dtype,
        };
        let [t, e, d, f] = [self.n_tokens, self.n_experts, self.d_model, self.d_expert];
        let x_td = tensor(&self.x, [t, d], place).require_grad();
        let weights_n = tensor(&self.weights, [self.weights.len()], place).require_grad();
        let gate = self.gate.as_ref();
        let stacks = ExpertWeights {
            gate: gate.map(|gate| tensor(gate, [e, d, f], place).require_grad()),
            up: tensor(&self.up, [e, d, f], place).require_grad(),
            down: tensor(&self.down, [e, f, d], place).require_grad(),
            biases: self.biases.as_ref().map(|biases| {
                let of =
                    |values: &Vec<f64>, width| tensor(values, [e, width], place).require_grad();
                ExpertBiases {
                    gate: biases.gate.as_ref().map(|gate| of(gate, f)),
                    up: of(&biases.up, f),
                    down: of(&biases.down, d),
                }
            }),
        };
        let y_td = executor(
            x_td.clone(),
            stacks.clone(),
            weights_n.clone(),
            Arc::new(self.plan()),
            self.activation,
        );
        let target_td = tensor(&self.target, [t, d], place);
        // the second term lets an output without any gradient through
        let loss = (y_td.clone() * target_td).sum() + x_td.clone().sum() * 0.0;
        let grads = loss.backward();
        let mut parts = vec![
            part("the output", y_td),
            gradient("the gradient of x", &x_td, &grads),
            gradient("the gradient of the weights", &weights_n, &grads),
            gradient("the gradient of the up stack", &stacks.up, &grads),
            gradient("the gradient of the down stack", &stacks.down, &grads),
        ];
        let gate = stacks.gate.as_ref();
        parts.extend(gate.map(|gate| gradient("the gradient of the gate stack", gate, &grads)));
        if let Some(biases) = &stacks.biases {
            let of = |name, bias: &Tensor<2>| gradient(name, bias, &grads);
            parts.push(of("the gradient of the up biases", &biases.up));
            parts.push(of("the gradient of the down biases", &biases.down));
            let gate = biases.gate.as_ref();
            parts.extend(gate.map(|gate| of("the gradient of the gate biases", gate)));
        }
        Outcome { parts }
    }

    /// The stacks with every expert's block replaced by that of another.
    pub fn stacks_of(&mut self, source: &[usize]) {
        let width = self.d_model * self.d_expert;
        let moved = |stack: &Vec<f64>| -> Vec<f64> {
            let block = |e: &usize| &stack[e * width..(e + 1) * width];
            source.iter().flat_map(block).copied().collect()
        };
        self.gate = self.gate.as_ref().map(moved);
        self.up = moved(&self.up);
        self.down = moved(&self.down);
    }
}

pub(super) fn tensor<const D: usize>(
    values: &[f64],
    shape: [usize; D],
    place: &Place,
) -> Tensor<D> {
    let data = TensorData::new(values.to_vec(), shape).convert_dtype(place.dtype);
    Tensor::from_data(data, (&place.device, place.dtype))
}

fn part<const D: usize>(name: &'static str, tensor: Tensor<D>) -> Part {
    Part {
        name,
        shape: tensor.dims().to_vec(),
        values: tensor.into_data().iter::<f64>().collect(),
    }
}

/// The gradient, or zeros where nothing depended on the tensor.
fn gradient<const D: usize>(name: &'static str, of: &Tensor<D>, grads: &Gradients) -> Part {
    let grad = of.grad(grads);
    part(
        name,
        grad.unwrap_or_else(|| of.clone().inner().zeros_like()),
    )
}
