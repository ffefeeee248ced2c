//! The update on the memory of the pure-Rust CPU backend, in f32.

use super::Settings;
use burn::backend::{Flex, tensor::FloatTensor};
use burn::optim::{AdamWState, AdaptiveMomentumState, LearningRate};
use burn::tensor::{DType, Tensor};
use rayon::prelude::*;

/// Tells whether a parameter is one of this backend, in f32.
pub(super) fn has_kernel<const D: usize>(weights: &Tensor<D>) -> bool {
    let primitive = weights.clone().try_into_primitive::<Flex>();
    primitive.is_ok_and(|weights| weights.dtype() == DType::F32)
}

/// The weights and moments after a step that is not the first. The weights take the memory of the gradient.
pub(super) fn step<const D: usize>(
    settings: &Settings,
    lr: LearningRate,
    weights: Tensor<D>,
    gradient: Tensor<D>,
    state: AdamWState<D>,
) -> (Tensor<D>, AdamWState<D>) {
    let AdaptiveMomentumState {
        time,
        moment_1,
        moment_2,
        ..
    } = state.momentum;
    let time = time + 1;
    let [weights, mut out, mut moment_1, mut moment_2] =
        [weights, gradient, moment_1, moment_2].map(contiguous);
    Update::new(settings, lr, time).apply(
        weights.storage(),
        out.storage_mut(),
        moment_1.storage_mut(),
        moment_2.storage_mut(),
    );
    let [out, moment_1, moment_2] = [out, moment_1, moment_2].map(Tensor::from_primitive::<Flex>);
    let momentum = AdaptiveMomentumState::new(time, moment_1, moment_2);
    (out, AdamWState::new(momentum))
}

fn contiguous<const D: usize>(x: Tensor<D>) -> FloatTensor<Flex> {
    let primitive = x.try_into_primitive::<Flex>();
    let x = primitive.expect("gradient and moments are where the parameter is");
    x.to_contiguous()
}

/// The factors of one step.
struct Update {
    beta_1: f32,
    beta_2: f32,
    /// The parts of the moments that are left of one step, `1 - beta^time`.
    filled: [f32; 2],
    epsilon: f32,
    /// What the decay leaves of a weight.
    kept: f32,
    lr: f32,
}

/// Values of a task.
const TASK: usize = 1 << 14;

impl Update {
    fn new(settings: &Settings, lr: LearningRate, time: usize) -> Self {
        let filled = |beta: f32| 1.0 - beta.powi(time as i32);
        Self {
            beta_1: settings.beta_1,
            beta_2: settings.beta_2,
            filled: [settings.beta_1, settings.beta_2].map(filled),
            epsilon: settings.epsilon,
            kept: (1.0 - lr * f64::from(settings.weight_decay)) as f32,
            lr: lr as f32,
        }
    }

    /// Replaces the gradient by the new weights, and the moments by their next.
    fn apply(&self, weights: &[f32], gradient: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        if weights.len() <= TASK {
            return self.apply_to_task(weights, gradient, m, v);
        }
        weights
            .par_chunks(TASK)
            .zip(gradient.par_chunks_mut(TASK))
            .zip(m.par_chunks_mut(TASK).zip(v.par_chunks_mut(TASK)))
            .for_each(|((weights, gradient), (m, v))| self.apply_to_task(weights, gradient, m, v));
    }

    fn apply_to_task(&self, weights: &[f32], gradient: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        let [rest_1, rest_2] = [1.0 - self.beta_1, 1.0 - self.beta_2];
        let [filled_1, filled_2] = self.filled;
        let values = weights.iter().zip(gradient).zip(m.iter_mut().zip(v));
        for ((weight, gradient), (m, v)) in values {
            let g = *gradient;
            *m = *m * self.beta_1 + g * rest_1;
            *v = *v * self.beta_2 + g * g * rest_2;
            let delta = (*m / filled_1) / ((*v / filled_2).sqrt() + self.epsilon);
            *gradient = weight * self.kept - delta * self.lr;
        }
    }
}
