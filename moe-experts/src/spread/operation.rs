//! The exchange as an extension of Burn's backends, with its own backward pass.

// Two of the backends are deprecated by Burn but still supported here.
#![allow(deprecated)]
// Without any backend the generated dispatch has nobody to pass its arguments to.
#![cfg_attr(
    not(any(
        feature = "flex",
        feature = "cube",
        feature = "ndarray",
        feature = "tch"
    )),
    allow(unused_variables)
)]

use super::call::Call;
use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Autodiff, Backend, TensorMetadata, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, TensorData, try_read_sync};
use std::sync::Arc;

/// A backend that applies experts of other ranks. Rows travel by the host's memory.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "cube"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Autodiff
)]
pub trait SpreadBackend: Backend {
    /// The sums of the experts' outputs `[n_tokens, d_model]` by gate, without biases after the last projection.
    fn spread_ffn(
        x: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        call: Arc<Call>,
    ) -> FloatTensor<Self>;
}

macro_rules! without_gradients {
    ($($feature:literal $backend:ident),*) => {$(
        #[cfg(feature = $feature)]
        impl SpreadBackend for burn::backend::$backend {
            fn spread_ffn(
                x: FloatTensor<Self>,
                gates: FloatTensor<Self>,
                call: Arc<Call>,
            ) -> FloatTensor<Self> {
                forward::<Self>(x, gates, &call, false)
            }
        }
    )*};
}
without_gradients!("flex" Flex, "cube" Cube, "ndarray" NdArray, "tch" LibTorch);

impl<B: Backend, C: CheckpointStrategy> SpreadBackend for Autodiff<B, C> {
    fn spread_ffn(
        x: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        call: Arc<Call>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gates.node()];
        let [x, gates] = [x.into_primitive(), gates.into_primitive()];
        match SpreadStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let n_gates = gates.shape()[0];
                let shape = x.shape();
                let out = forward::<B>(x, gates, &call, true);
                let state = State {
                    call,
                    shape,
                    n_gates,
                };
                prep.finish(state, out)
            }
            OpsKind::UnTracked(prep) => prep.finish(forward::<B>(x, gates, &call, false)),
        }
    }
}

#[derive(Debug)]
struct SpreadStep;

#[derive(Clone, Debug)]
struct State {
    call: Arc<Call>,
    shape: Shape,
    n_gates: usize,
}

impl<B: Backend> Backward<B, 2> for SpreadStep {
    type State = State;

    fn backward(self, ops: Ops<State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let State {
            call,
            shape,
            n_gates,
        } = ops.state;
        let d_y = grads.consume::<B>(&ops.node);
        let device = d_y.device();
        let (d_x, d_gates) = call.backward(&host::<B>(d_y), n_gates);
        let [x, gates] = ops.parents;
        // `None` is a parent that needs no gradient
        if let Some(x) = x {
            let d_x = B::float_from_data(TensorData::new(d_x, shape), &device);
            grads.register::<B>(x.id, d_x);
        }
        if let Some(gates) = gates {
            let d_gates = TensorData::new(d_gates, [n_gates]);
            grads.register::<B>(gates.id, B::float_from_data(d_gates, &device));
        }
    }
}

fn forward<B: Backend>(
    x: FloatTensor<B>,
    gates: FloatTensor<B>,
    call: &Call,
    is_tracked: bool,
) -> FloatTensor<B> {
    let (device, shape) = (x.device(), x.shape());
    let y = call.forward(&host::<B>(x), &host::<B>(gates), is_tracked);
    B::float_from_data(TensorData::new(y, shape), &device)
}

/// The numbers of a tensor.
///
/// # Panics
///
/// Panics if the device cannot be read, or holds other numbers than f32.
fn host<B: Backend>(tensor: FloatTensor<B>) -> Vec<f32> {
    let data = try_read_sync(B::float_into_data(tensor)).expect("the device can be waited for");
    let data = data.unwrap_or_else(|error| panic!("rows cannot be read from the device: {error}"));
    data.try_into_vec::<f32>()
        .unwrap_or_else(|error| panic!("rows travel between ranks as f32: {error:?}"))
}
