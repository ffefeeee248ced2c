//! The operations for which a backend may have a kernel of its own, and what runs without one.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, TensorMetadata, backend_extension};

use crate::causal::composed_attention;
use crate::rope::composed_rotation;

/// Attention operations, routed to the backend of their tensors.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "cube"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Autodiff
)]
pub trait AttentionBackend: Backend {
    /// See [`causal_attention`](crate::causal_attention).
    fn causal_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        scale: f64,
        window: Option<usize>,
    ) -> FloatTensor<Self> {
        composed_attention::<Self>(AttentionInputs {
            q,
            k,
            v,
            scale,
            window,
        })
    }

    /// Turns the halves of the last axis of `x [B,H,L,Dh]` by the angles whose cosines and sines
    /// are `cos` and `sin [B or 1,L,Dh/2]`.
    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed_rotation::<Self>(x, cos, sin)
    }

    /// `x [R,D] w [D,N]` of so few rows that reading the matrix is what costs; it may be held in bf16.
    fn few_rows_product(x: FloatTensor<Self>, w: FloatTensor<Self>) -> FloatTensor<Self> {
        composed_product::<Self>(x, w)
    }
}

/// `x w` in the type of `x`.
pub(crate) fn composed_product<B: Backend>(x: FloatTensor<B>, w: FloatTensor<B>) -> FloatTensor<B> {
    let w = if w.dtype() == x.dtype() {
        w
    } else {
        B::float_cast(w, x.dtype().into())
    };
    B::float_matmul(x, w)
}

/// The kernels that a backend brings, for tensors like `x`; autodiff wraps these.
pub trait AttentionKernels: Backend {
    /// The causal attention kernel, if there is one for the element type of `x`.
    fn attention_kernel(_x: &FloatTensor<Self>) -> Option<AttentionKernel<Self>> {
        None
    }

    /// The rotation kernel, if there is one for the element type of `x`.
    fn rotation_kernel(_x: &FloatTensor<Self>) -> Option<RotationKernel<Self>> {
        None
    }
}

/// Causal attention and its gradients.
pub struct AttentionKernel<B: Backend> {
    /// Attends.
    pub forward: fn(&AttentionInputs<B>) -> Attended<B>,
    /// The gradients of the inputs, from the gradient of the output.
    pub backward: AttentionBackward<B>,
}

/// The gradients of the inputs of attention, from what it computed and the output's gradient.
pub type AttentionBackward<B> =
    fn(&AttentionInputs<B>, &Attended<B>, FloatTensor<B>) -> AttentionGradients<B>;

/// Rotates `x` by angles given as cosines and sines.
pub type RotationKernel<B> =
    fn(x: FloatTensor<B>, cos: FloatTensor<B>, sin: FloatTensor<B>) -> FloatTensor<B>;

/// Operands of causal attention.
#[derive(Debug, Clone)]
pub struct AttentionInputs<B: Backend> {
    /// `[B,H,L,Dh]`
    pub q: FloatTensor<B>,
    /// `[B,Hkv,S,Dh]`
    pub k: FloatTensor<B>,
    /// `[B,Hkv,S,Dv]`
    pub v: FloatTensor<B>,
    /// The factor of the scores.
    pub scale: f64,
    /// The most keys that a query attends, counted from its own.
    pub window: Option<usize>,
}

/// Output of causal attention, and what its backward pass needs.
#[derive(Debug, Clone)]
pub struct Attended<B: Backend> {
    /// `[B,H,L,Dv]`
    pub out: FloatTensor<B>,
    /// `[B,H,L]` in the kernel's own order and base: the logarithm of each softmax denominator.
    pub lse: FloatTensor<B>,
}

/// The gradients of [`AttentionInputs`].
pub struct AttentionGradients<B: Backend> {
    /// `[B,H,L,Dh]`
    pub q: FloatTensor<B>,
    /// `[B,Hkv,S,Dh]`
    pub k: FloatTensor<B>,
    /// `[B,Hkv,S,Dv]`
    pub v: FloatTensor<B>,
}

#[cfg(feature = "cube")]
impl AttentionBackend for burn::backend::Cube {}
#[cfg(feature = "cube")]
impl AttentionKernels for burn::backend::Cube {}
#[cfg(feature = "ndarray")]
#[allow(deprecated)]
impl AttentionBackend for burn::backend::NdArray {}
#[cfg(feature = "ndarray")]
#[allow(deprecated)]
impl AttentionKernels for burn::backend::NdArray {}
#[cfg(feature = "tch")]
#[allow(deprecated)]
impl AttentionBackend for burn::backend::LibTorch {}
#[cfg(feature = "tch")]
#[allow(deprecated)]
impl AttentionKernels for burn::backend::LibTorch {}

impl<B: AttentionBackend + AttentionKernels, C: CheckpointStrategy> AttentionBackend
    for Autodiff<B, C>
{
    fn causal_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        scale: f64,
        window: Option<usize>,
    ) -> FloatTensor<Self> {
        let Some(kernel) = B::attention_kernel(q.primitive()) else {
            return composed_attention::<Self>(AttentionInputs {
                q,
                k,
                v,
                scale,
                window,
            });
        };
        let nodes = [q.node(), k.node(), v.node()];
        let inputs = AttentionInputs::<B> {
            q: q.into_primitive(),
            k: k.into_primitive(),
            v: v.into_primitive(),
            scale,
            window,
        };
        let operation = CausalAttention.prepare::<C>(nodes).compute_bound();
        finish(operation.stateful(), || {
            let attended = (kernel.forward)(&inputs);
            (attended.out.clone(), (inputs, attended))
        })
    }

    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let Some(kernel) = B::rotation_kernel(x.primitive()) else {
            return composed_rotation::<Self>(x, cos, sin);
        };
        let nodes = [x.node()];
        let (x, cos, sin) = (
            x.into_primitive(),
            cos.into_primitive(),
            sin.into_primitive(),
        );
        let operation = Rotation.prepare::<C>(nodes).compute_bound();
        finish(operation.stateful(), || {
            let state = (cos.clone(), sin.clone());
            (kernel(x, cos, sin), state)
        })
    }
}

/// Runs an operation to its output and the state of its backward pass, which is kept where gradients are wanted.
fn finish<O, B, C, const N: usize>(
    operation: OpsKind<O, B, O::State, C, N>,
    run: impl FnOnce() -> (FloatTensor<B>, O::State),
) -> FloatTensor<Autodiff<B, C>>
where
    O: Backward<B, N>,
    B: Backend,
    C: CheckpointStrategy,
{
    let (output, state) = run();
    match operation {
        OpsKind::Tracked(prep) => prep.finish(state, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

#[derive(Debug)]
struct CausalAttention;

impl<B: AttentionKernels> Backward<B, 3> for CausalAttention {
    type State = (AttentionInputs<B>, Attended<B>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (inputs, attended) = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let kernel = B::attention_kernel(&inputs.q).expect("the forward pass had a kernel");
        let found = (kernel.backward)(&inputs, &attended, grad);
        for (node, grad) in ops.parents.into_iter().zip([found.q, found.k, found.v]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct Rotation;

impl<B: AttentionKernels> Backward<B, 1> for Rotation {
    type State = (FloatTensor<B>, FloatTensor<B>);

    /// A rotation's transpose is its inverse: the same one with the sines negated.
    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [node] = ops.parents;
        let (cos, sin) = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let kernel = B::rotation_kernel(&grad).expect("the forward pass had a kernel");
        if let Some(node) = node {
            grads.register::<B>(node.id, kernel(grad, cos, B::float_neg(sin)));
        }
    }
}
