//! The operation of the pure-Rust CPU backend, in f32: the passes over all values by all threads, and sums by the
//! backend's own operations, so that every bit is that of the composition.

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Shape, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

pub(super) use crate::flex::is_flex_f32 as has_kernel;

/// See [`rms_norm`](super::rms_norm).
pub(super) fn rms_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let (x, gamma) = (x.into_dispatch(), gamma.into_dispatch());
    Tensor::from_dispatch(<Dispatch as RmsNormBackend>::rms_norm(x, gamma, epsilon))
}

/// A backend with the operation.
#[backend_extension(Flex: cfg(feature = "flex"), Autodiff)]
pub trait RmsNormBackend: Backend {
    /// See [`rms_norm`](super::rms_norm).
    fn rms_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self>;
}

impl RmsNormBackend for Flex {
    fn rms_norm(x: FlexTensor, gamma: FlexTensor, epsilon: f64) -> FlexTensor {
        forward(&x, &gamma, epsilon).0
    }
}

impl<C: CheckpointStrategy> RmsNormBackend for Autodiff<Flex, C> {
    fn rms_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node()];
        let (out, kept) = forward(&x.into_primitive(), &gamma.into_primitive(), epsilon);
        match Norm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(kept, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }
}

#[derive(Debug)]
struct Norm;

/// State of the backward pass.
#[derive(Debug, Clone)]
struct Kept {
    /// `[.., D]`
    x: FlexTensor,
    /// `[D]`
    gamma: FlexTensor,
    /// Means of squares with epsilon, `[.., 1]`.
    means: FlexTensor,
    /// Their roots, `[.., 1]`.
    roots: FlexTensor,
}

impl Backward<Flex, 2> for Norm {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d_out = grads.consume::<Flex>(&ops.node).to_contiguous();
        let [x, gamma] = ops.parents;
        if let Some(gamma) = gamma {
            grads.register::<Flex>(gamma.id, ops.state.d_gamma(&d_out));
        }
        let Some(x) = x else { return };
        // in the composition's order: what goes straight through, then both factors of each square
        let d_means = ops.state.d_means(&d_out);
        grads.register::<Flex>(x.id, ops.state.straight(d_out));
        if x.requirement == ops.node.requirement {
            // a gradient that nobody asks for can be taken out, and all is added in one pass
            let sum = grads.consume::<Flex>(&x);
            grads.register::<Flex>(x.id, ops.state.with_squares(sum, &d_means));
        } else {
            let factor = ops.state.of_factor(&d_means);
            grads.register::<Flex>(x.id, factor.clone());
            grads.register::<Flex>(x.id, factor);
        }
    }
}

/// The output, and what the backward pass reads.
fn forward(x: &FlexTensor, gamma: &FlexTensor, epsilon: f64) -> (FlexTensor, Kept) {
    let [x, gamma] = [x.to_contiguous(), gamma.to_contiguous()];
    let (shape, width) = sizes(&x);
    let mut out = FlexTensor::empty(shape.clone(), DType::F32);
    let rows = || x.storage::<f32>().par_chunks_exact(width);
    rows_of(&mut out, width)
        .zip(rows())
        .for_each(|(out, x)| each(out, x, |out, x| *out = x * x));
    let means = Flex::float_mean_dim(out.clone(), shape.num_dims() - 1);
    let means = Flex::float_add_scalar(means, epsilon.into());
    let roots = Flex::float_sqrt(means.clone());
    let scales = gamma.storage::<f32>();
    rows_of(&mut out, width)
        .zip(rows())
        .zip(roots.storage::<f32>())
        .for_each(|((out, x), root)| {
            let values = out.iter_mut().zip(x).zip(scales);
            values.for_each(|((out, x), scale)| *out = x / root * scale);
        });
    let kept = Kept {
        x,
        gamma,
        means,
        roots,
    };
    (out, kept)
}

impl Kept {
    fn d_gamma(&self, d_out: &FlexTensor) -> FlexTensor {
        let (shape, width) = sizes(&self.x);
        let mut parts = d_out.clone();
        rows_of(&mut parts, width)
            .zip(self.x.storage::<f32>().par_chunks_exact(width))
            .zip(self.roots.storage::<f32>())
            .for_each(|((part, x), root)| each(part, x, |part, x| *part *= x / root));
        // an axis of one is not summed in the composition either
        let axes = (0..shape.num_dims() - 1).filter(|&axis| shape[axis] != 1);
        let sum = axes.fold(parts, Flex::float_sum_dim);
        Flex::float_reshape(sum, Shape::new([width]))
    }

    /// `sum` and the gradients of both factors of the squares.
    fn with_squares(&self, sum: FlexTensor, d_means: &FlexTensor) -> FlexTensor {
        let mut sum = sum.to_contiguous();
        self.of_rows(&mut sum, d_means, |sum, factor| {
            *sum = *sum + factor + factor
        });
        sum
    }

    /// The gradient of one factor of the squares.
    fn of_factor(&self, d_means: &FlexTensor) -> FlexTensor {
        let mut out = FlexTensor::empty(self.x.layout().shape().clone(), DType::F32);
        self.of_rows(&mut out, d_means, |out, factor| *out = factor);
        out
    }

    fn of_rows(
        &self,
        out: &mut FlexTensor,
        d_means: &FlexTensor,
        of: impl Fn(&mut f32, f32) + Sync + Send,
    ) {
        let (_, width) = sizes(&self.x);
        let part = (1.0 / width as f64) as f32;
        rows_of(out, width)
            .zip(self.x.storage::<f32>().par_chunks_exact(width))
            .zip(d_means.storage::<f32>())
            .for_each(|((out, x), d_mean)| {
                let d_square = part * d_mean;
                each(out, x, |out, x| of(out, d_square * x));
            });
    }

    /// `dy gamma / r`, in the memory of `dy`.
    fn straight(&self, mut d_out: FlexTensor) -> FlexTensor {
        let (_, width) = sizes(&self.x);
        let scales = self.gamma.storage::<f32>();
        rows_of(&mut d_out, width)
            .zip(self.roots.storage::<f32>())
            .for_each(|(d, root)| {
                let part = 1.0 / root;
                each(d, scales, |d, scale| *d = *d * scale * part);
            });
        d_out
    }

    /// Gradients of the means of squares, `[.., 1]`.
    fn d_means(&self, d_out: &FlexTensor) -> FlexTensor {
        let (shape, width) = sizes(&self.x);
        let last = shape.num_dims() - 1;
        let scales = self.gamma.storage::<f32>();
        let mut parts = d_out.clone();
        rows_of(&mut parts, width)
            .zip(self.x.storage::<f32>().par_chunks_exact(width))
            .zip(self.roots.storage::<f32>())
            .for_each(|((part, x), root)| {
                let square = root * root;
                let values = part.iter_mut().zip(x).zip(scales);
                values.for_each(|((part, x), scale)| *part = *part * scale * (-x / square));
            });
        let d_roots = match width {
            1 => parts,
            _ => Flex::float_sum_dim(parts, last),
        };
        let slopes = Flex::float_powf_scalar(self.means.clone(), (-0.5).into());
        let slopes = Flex::float_div_scalar(slopes, 2f32.into());
        // the composition's sum over an axis of one
        Flex::float_sum_dim(Flex::float_mul(d_roots, slopes), last)
    }
}

fn sizes(x: &FlexTensor) -> (Shape, usize) {
    let shape = x.layout().shape().clone();
    let width = shape[shape.num_dims() - 1];
    (shape, width)
}

/// Rows of a task hold at least this many values.
const TASK: usize = 1 << 14;

fn rows_of(x: &mut FlexTensor, width: usize) -> impl IndexedParallelIterator<Item = &mut [f32]> {
    let rows = x.storage_mut::<f32>().par_chunks_exact_mut(width);
    rows.with_min_len((TASK / width).max(1))
}

fn each(out: &mut [f32], x: &[f32], of: impl Fn(&mut f32, f32)) {
    out.iter_mut().zip(x).for_each(|(out, &x)| of(out, x));
}
