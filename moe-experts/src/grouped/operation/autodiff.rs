//! The operations on a differentiated backend: what is recorded, and the backward pass.

use std::sync::Arc;

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, NodeGuard, Ops, OpsKind},
};
use burn::backend::{Autodiff, tensor::FloatTensor};

use super::MoeBackend;
use crate::Activation;
use crate::grouped::kernels::{FfnInputs, FfnKept, FfnTracked, Gate, MoeKernels, Rows};
use crate::profile::{Part, Pass, apart};

impl<B: MoeKernels, C: CheckpointStrategy> MoeBackend for Autodiff<B, C> {
    fn grouped_matmul(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        ends: Arc<[u32]>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), w.node()];
        let [x, w] = [x.into_primitive(), w.into_primitive()];
        match ProductStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let out = B::product(x.clone(), w.clone(), &ends);
                prep.finish(ProductState { x, w, ends }, out)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::product(x, w, &ends)),
        }
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
        let nodes = [x.node(), up.node(), down.node(), gates.node()];
        let inputs = |gate| FfnInputs {
            x: x.into_primitive(),
            gate,
            up: up.into_primitive(),
            down: down.into_primitive(),
            gates: gates.into_primitive(),
        };
        let rows = plain(rows);
        match gate {
            Gate::Stack(gate) => {
                let [x, up, down, gates] = nodes;
                let nodes = [x, up, down, gates, gate.node()];
                let inputs = inputs(Some(gate.into_primitive()));
                track_ffn::<B, C, 5>(nodes, inputs, rows, activation)
            }
            Gate::None => track_ffn::<B, C, 4>(nodes, inputs(None), rows, activation),
        }
    }
}

/// Rows of the backend below differentiation, whose lists are the same tensors.
fn plain<B: MoeKernels, C: CheckpointStrategy>(rows: Rows<Autodiff<B, C>>) -> Rows<B> {
    match rows {
        Rows::Host(plan) => Rows::Host(plan),
        Rows::Device {
            places_a,
            assignments_p,
            shape,
        } => Rows::Device {
            places_a,
            assignments_p,
            shape,
        },
    }
}

#[derive(Debug)]
struct ProductStep;

#[derive(Clone, Debug)]
struct ProductState<T> {
    x: T,
    w: T,
    ends: Arc<[u32]>,
}

impl<B: MoeKernels> Backward<B, 2> for ProductStep {
    type State = ProductState<FloatTensor<B>>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let d_y = grads.consume::<B>(&ops.node);
        let ProductState { x, w, ends } = ops.state;
        let gradients = apart(Part::Experts, Pass::Backward, || {
            B::product_backward(x, w, &ends, d_y)
        });
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            // `None` is a parent that needs no gradient
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct FfnStep;

#[derive(Clone, Debug)]
struct FfnState<B: MoeKernels> {
    inputs: FfnInputs<FloatTensor<B>>,
    kept: FfnKept<FloatTensor<B>>,
    rows: Rows<B>,
    activation: Activation,
}

impl<B: MoeKernels> Backward<B, 5> for FfnStep {
    type State = FfnState<B>;

    fn backward(self, ops: Ops<Self::State, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        register_ffn::<B, 5>(ops, grads);
    }
}

impl<B: MoeKernels> Backward<B, 4> for FfnStep {
    type State = FfnState<B>;

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        register_ffn::<B, 4>(ops, grads);
    }
}

/// Runs the feed-forward and records it; the parents are x, up, down, gates and, if any, gate.
fn track_ffn<B: MoeKernels, C: CheckpointStrategy, const N: usize>(
    nodes: [NodeGuard; N],
    inputs: FfnInputs<FloatTensor<B>>,
    rows: Rows<B>,
    activation: Activation,
) -> FloatTensor<Autodiff<B, C>>
where
    FfnStep: Backward<B, N, State = FfnState<B>>,
{
    match FfnStep.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let FfnTracked { out, kept } = B::ffn_tracked_of(inputs.clone(), &rows, activation);
            let state = FfnState {
                inputs,
                kept,
                rows,
                activation,
            };
            prep.finish(state, out)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::ffn_of(inputs, &rows, activation)),
    }
}

fn register_ffn<B: MoeKernels, const N: usize>(ops: Ops<FfnState<B>, N>, grads: &mut Gradients) {
    let d_out = grads.consume::<B>(&ops.node);
    let FfnState {
        inputs,
        kept,
        rows,
        activation,
    } = ops.state;
    let FfnInputs {
        x,
        gate,
        up,
        down,
        gates,
    } = apart(Part::Experts, Pass::Backward, || {
        B::ffn_backward_of(inputs, kept, &rows, activation, d_out)
    });
    // in the order of the nodes; the gate stack is last, so that the others have one place with and without
    // it
    let gradients = [Some(x), Some(up), Some(down), Some(gates), gate];
    for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
        if let (Some(parent), Some(gradient)) = (parent, gradient) {
            grads.register::<B>(parent.id, gradient);
        }
    }
}
