//! The operation of the pure-Rust CPU backend, in f32: the passes over all scores by all threads, and what is left by the
//! backend's own operations, so that every bit is that of the composition.

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Int, Shape, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

pub(super) use crate::flex::is_flex_f32 as has_kernel;

/// See [`cross_entropy`](super::cross_entropy).
pub(super) fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as CrossEntropyBackend>::cross_entropy(
        logits.into_dispatch(),
        targets.into_dispatch(),
    ))
}

/// A backend with the operation.
#[backend_extension(Flex: cfg(feature = "flex"), Autodiff)]
pub trait CrossEntropyBackend: Backend {
    /// See [`cross_entropy`](super::cross_entropy).
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self>;
}

impl CrossEntropyBackend for Flex {
    fn cross_entropy(logits: FlexTensor, targets: FlexTensor) -> FlexTensor {
        forward(logits, &targets).0
    }
}

impl<C: CheckpointStrategy> CrossEntropyBackend for Autodiff<Flex, C> {
    fn cross_entropy(logits: FloatTensor<Self>, targets: FlexTensor) -> FloatTensor<Self> {
        let nodes = [logits.node()];
        let (losses, kept) = forward(logits.into_primitive(), &targets);
        match CrossEntropy.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(kept, losses),
            OpsKind::UnTracked(prep) => prep.finish(losses),
        }
    }
}

#[derive(Debug)]
struct CrossEntropy;

/// State of the backward pass.
#[derive(Debug, Clone)]
struct Kept {
    /// Exponentials of the scores less the largest of their row, `[N, V]`.
    exps: FlexTensor,
    /// Their sums, `[N, 1]`.
    sums: FlexTensor,
    /// The place of each row's target.
    targets: Vec<usize>,
}

impl Backward<Flex, 1> for CrossEntropy {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d_losses = grads.consume::<Flex>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<Flex>(parent.id, backward(ops.state, d_losses));
        }
    }
}

/// Rows of a task hold at least this many scores.
const TASK: usize = 1 << 14;

/// The losses `[N]`. The exponentials take the memory of the scores if nobody else holds them.
fn forward(logits: FlexTensor, targets: &FlexTensor) -> (FlexTensor, Kept) {
    let [n, width] = logits.layout().shape().dims();
    let targets = places(targets, width);
    let largest = Flex::float_max_dim(logits.clone(), 1);
    let mut exps = logits.to_contiguous();
    drop(logits);
    let mut losses = FlexTensor::zeros(Shape::new([n]), DType::F32);
    let shifted = losses.storage_mut::<f32>();
    rows_of(&mut exps, width)
        .zip(&mut *shifted)
        .zip(largest.storage::<f32>())
        .zip(&targets)
        .for_each(|(((row, shifted), largest), &target)| {
            *shifted = row[target] - largest;
            row.iter_mut().for_each(|x| *x = (*x - largest).exp());
        });
    let sums = Flex::float_sum_dim(exps.clone(), 1);
    let logs = Flex::float_log(sums.clone());
    for (loss, log) in shifted.iter_mut().zip(logs.storage::<f32>()) {
        *loss = -(*loss - log);
    }
    let kept = Kept {
        exps,
        sums,
        targets,
    };
    (losses, kept)
}

/// The gradient of the scores, in the memory of the exponentials.
fn backward(kept: Kept, d_losses: FlexTensor) -> FlexTensor {
    let Kept {
        mut exps,
        sums,
        targets,
    } = kept;
    let [_, width] = exps.layout().shape().dims();
    let parts = Flex::float_recip(sums);
    let d_losses = d_losses.to_contiguous();
    rows_of(&mut exps, width)
        .zip(parts.storage::<f32>())
        .zip(d_losses.storage::<f32>())
        .zip(&targets)
        .for_each(|(((row, part), d_loss), &target)| {
            let d_sum = d_loss * part;
            // the composition adds a zero, which has a sign
            row.iter_mut().for_each(|x| *x = *x * d_sum + 0.0);
            row[target] -= d_loss;
        });
    exps
}

fn rows_of(
    scores: &mut FlexTensor,
    width: usize,
) -> impl IndexedParallelIterator<Item = &mut [f32]> {
    let task = (TASK / width.max(1)).max(1);
    let rows = scores
        .storage_mut::<f32>()
        .par_chunks_exact_mut(width.max(1));
    rows.with_min_len(task)
}

/// The targets as places in a row.
fn places(targets: &IntTensor<Flex>, width: usize) -> Vec<usize> {
    let place = |target: i64| {
        let place = usize::try_from(target).ok().filter(|&place| place < width);
        place.unwrap_or_else(|| {
            panic!("a target lies below the {width} scores of a row, got {target}")
        })
    };
    let targets = targets.clone().into_data();
    targets.iter::<i64>().map(place).collect()
}
