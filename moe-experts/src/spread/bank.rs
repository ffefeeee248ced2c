//! The experts of this rank on the rows of one sender.

use crate::grouped::{ExpertWeights, biased, moe_ffn};
use crate::{Activation, Experts, RowPlan};
use burn::module::{Param, ParamId};
use burn::tensor::{Tensor, TensorData};
use moe_router::to_vec;
use std::sync::Arc;

/// A parameter that is shared out, with its name.
#[derive(Debug, Clone)]
struct Leaf<const D: usize> {
    id: ParamId,
    value: Tensor<D>,
}

/// The experts of this rank: all but the biases after the last projection, which every rank holds.
#[derive(Debug, Clone)]
pub(super) struct Bank {
    gate: Option<Leaf<3>>,
    up: Leaf<3>,
    down: Leaf<3>,
    gate_bias: Option<Leaf<2>>,
    up_bias: Option<Leaf<2>>,
    activation: Activation,
}

/// Rows of one sender, by expert.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    /// `[n_rows, width]`.
    pub values: &'a [f32],
    /// `[n_rows]`.
    pub gates: &'a [f32],
    /// `[n_experts]`, cumulative.
    pub ends: &'a [u32],
    /// Tokens of the sender's batch.
    pub batch: usize,
}

/// One sender's rows after the forward pass, for the backward pass.
#[derive(Debug)]
pub(super) struct Computed {
    bank: Bank,
    rows: Tensor<2>,
    gates: Tensor<1>,
    out: Tensor<2>,
}

/// Gradients of one sender's rows.
#[derive(Debug)]
pub(super) struct RowGradients {
    /// `[n_rows, width]`.
    pub rows: Vec<f32>,
    /// `[n_rows]`.
    pub gates: Vec<f32>,
    /// Of each parameter that is shared out, flat.
    pub parameters: Vec<(ParamId, Option<Tensor<1>>)>,
}

impl<const D: usize> Leaf<D> {
    fn of(param: &Param<Tensor<D>>) -> Self {
        Self {
            id: param.id,
            value: param.val(),
        }
    }

    /// The start of a graph of its own, so that the backward pass of one sender's rows touches no other.
    fn apart(&self) -> Self {
        Self {
            id: self.id,
            value: self.value.clone().detach().require_grad(),
        }
    }

    fn gradient(&self, grads: &burn::tensor::Gradients) -> (ParamId, Option<Tensor<1>>) {
        let flat = |grad: Tensor<D>| {
            let n = grad.shape().num_elements();
            grad.reshape([n])
        };
        (self.id, self.value.grad(grads).map(flat))
    }
}

impl Bank {
    pub fn of(experts: &Experts) -> Self {
        let biases = experts.biases.as_ref();
        Self {
            gate: experts.gate.as_ref().map(Leaf::of),
            up: Leaf::of(&experts.up),
            down: Leaf::of(&experts.down),
            gate_bias: biases.and_then(|biases| biases.gate.as_ref().map(Leaf::of)),
            up_bias: biases.map(|biases| Leaf::of(&biases.up)),
            activation: experts.activation,
        }
    }

    /// The number of experts of this rank.
    pub fn n_experts(&self) -> usize {
        self.up.value.dims()[0]
    }

    /// The names of the parameters.
    pub fn ids(&self) -> Vec<ParamId> {
        let stacks = [self.gate.as_ref(), Some(&self.up), Some(&self.down)];
        let biases = [self.gate_bias.as_ref(), self.up_bias.as_ref()];
        let stacks = stacks.into_iter().flatten().map(|leaf| leaf.id);
        stacks
            .chain(biases.into_iter().flatten().map(|leaf| leaf.id))
            .collect()
    }

    /// The outputs of rows, weighed, `[n_rows, width]`; with what their backward pass needs, if asked.
    pub fn apply(&self, rows: &Rows<'_>, is_tracked: bool) -> (Vec<f32>, Option<Computed>) {
        let device = self.up.value.device();
        let n_rows = rows.gates.len();
        let shape = [n_rows, rows.values.len() / n_rows];
        let values = Tensor::from_data(TensorData::new(rows.values.to_vec(), shape), &device);
        let gates = Tensor::from_data(TensorData::new(rows.gates.to_vec(), [n_rows]), &device);
        let plan = Arc::new(RowPlan::identity(rows.ends).of_batch(rows.batch));
        if !is_tracked {
            let out = moe_ffn(values, self.weights(), gates, plan, self.activation);
            return (to_vec(out), None);
        }
        let bank = self.apart();
        let (values, gates) = (values.require_grad(), gates.require_grad());
        let out = moe_ffn(
            values.clone(),
            bank.weights(),
            gates.clone(),
            plan,
            self.activation,
        );
        let computed = Computed {
            bank,
            rows: values,
            gates,
            out: out.clone(),
        };
        (to_vec(out.detach()), Some(computed))
    }

    fn apart(&self) -> Self {
        Self {
            gate: self.gate.as_ref().map(Leaf::apart),
            up: self.up.apart(),
            down: self.down.apart(),
            gate_bias: self.gate_bias.as_ref().map(Leaf::apart),
            up_bias: self.up_bias.as_ref().map(Leaf::apart),
            activation: self.activation,
        }
    }

    /// The stacks, with biases before the non-linearity as weights of one more feature.
    fn weights(&self) -> ExpertWeights {
        let weights = ExpertWeights {
            gate: self.gate.as_ref().map(|leaf| leaf.value.clone()),
            up: self.up.value.clone(),
            down: self.down.value.clone(),
            biases: None,
        };
        match &self.up_bias {
            None => weights,
            Some(up) => {
                let gate = self.gate_bias.as_ref().map(|leaf| leaf.value.clone());
                biased::widened(weights, gate, up.value.clone())
            }
        }
    }
}

impl Computed {
    /// Gradients of all that went into the rows' outputs, from those of the outputs.
    pub fn backward(self, d_out: &[f32]) -> RowGradients {
        let shape = self.out.dims();
        let d_out = Tensor::from_data(TensorData::new(d_out.to_vec(), shape), &self.out.device());
        // the gradient of this sum is `d_out`, exactly
        let grads = (self.out * d_out).sum().backward();
        let bank = &self.bank;
        let stacks = [bank.gate.as_ref(), Some(&bank.up), Some(&bank.down)];
        let biases = [bank.gate_bias.as_ref(), bank.up_bias.as_ref()];
        let stacks = stacks
            .into_iter()
            .flatten()
            .map(|leaf| leaf.gradient(&grads));
        let biases = biases
            .into_iter()
            .flatten()
            .map(|leaf| leaf.gradient(&grads));
        let of_rows = self.rows.grad(&grads).map_or_else(Vec::new, to_vec);
        let of_gates = self.gates.grad(&grads).map_or_else(Vec::new, to_vec);
        RowGradients {
            rows: of_rows,
            gates: of_gates,
            parameters: stacks.chain(biases).collect(),
        }
    }
}
