//! AdamW (Loshchilov & Hutter 2017, arXiv 1711.05101, algorithm 2) as Burn computes it, to the same bits.
//!
//! Burn composes the update of a dozen operations, each a pass over the parameter by one thread. On its CPU backend all
//! of them are one pass here, by all threads.

#[cfg(feature = "flex")]
mod flex;

use burn::optim::{AdamW as Composed, AdamWConfig, AdamWState, LearningRate, Optimizer};
use burn::tensor::{Device, Tensor};

/// The optimizer of a group of parameters.
#[derive(Clone)]
pub(super) struct AdamW {
    #[cfg(feature = "flex")]
    settings: Settings,
    composed: Composed,
}

/// Settings of the optimizer, under Burn's names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub beta_1: f32,
    pub beta_2: f32,
    pub epsilon: f32,
    pub weight_decay: f32,
}

impl AdamW {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            composed: settings.composed(),
            #[cfg(feature = "flex")]
            settings,
        }
    }
}

impl Settings {
    fn composed(self) -> Composed {
        AdamWConfig::new()
            .with_beta_1(self.beta_1)
            .with_beta_2(self.beta_2)
            .with_epsilon(self.epsilon)
            .with_weight_decay(self.weight_decay)
            .build()
    }
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        weights: Tensor<D>,
        gradient: Tensor<D>,
        #[cfg_attr(not(feature = "flex"), allow(unused_mut))] mut state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        // a first step has no moments, and is composed
        #[cfg(feature = "flex")]
        if let Some(state) = state.take_if(|_| flex::has_kernel(&weights)) {
            let (weights, state) = flex::step(&self.settings, lr, weights, gradient, state);
            return (weights, Some(state));
        }
        self.composed.step(lr, weights, gradient, state)
    }

    fn to_device<const D: usize>(state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        Composed::to_device(state, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use moe_router::to_vec;

    fn settings(weight_decay: f32) -> Settings {
        Settings {
            beta_1: 0.9,
            beta_2: 0.95,
            epsilon: 1e-8,
            weight_decay,
        }
    }

    fn bits<const D: usize>(x: &Tensor<D>) -> Vec<u32> {
        to_vec(x.clone()).into_iter().map(f32::to_bits).collect()
    }

    /// Weights and both moments after each of four steps.
    fn steps<const D: usize>(
        optimizer: &impl Optimizer<State<D> = AdamWState<D>>,
        weights: &Tensor<D>,
        gradients: &[Tensor<D>],
    ) -> Vec<[Vec<u32>; 3]> {
        let (mut weights, mut state) = (weights.clone(), None);
        let mut all = Vec::new();
        for gradient in gradients {
            (weights, state) = optimizer.step(3e-3, weights, gradient.clone(), state);
            let moments = &state.as_ref().expect("a step leaves moments").momentum;
            all.push([
                bits(&weights),
                bits(&moments.moment_1),
                bits(&moments.moment_2),
            ]);
        }
        all
    }

    fn compare<const D: usize>(shape: [usize; D], weight_decay: f32) {
        let device = Device::flex();
        let random = |scale| Tensor::<D>::random(shape, Distribution::Normal(0.0, scale), &device);
        let settings = settings(weight_decay);
        let weights = random(1.0);
        let gradients = [random(1.0), random(1e-3), random(1.0) * 0.0, random(30.0)];
        let ours = steps(&AdamW::new(settings), &weights, &gradients);
        let expected = steps(&settings.composed(), &weights, &gradients);
        assert_eq!(ours, expected, "{shape:?}, decay {weight_decay}");
    }

    #[test]
    fn every_bit_is_that_of_burn() {
        for weight_decay in [0.0, 0.1] {
            compare([7], weight_decay);
            compare([300, 77], weight_decay);
            compare([3, 129, 200], weight_decay);
        }
    }

    #[test]
    fn a_tensor_that_is_turned_is_read_as_it_is() {
        let device = Device::flex();
        let random = || Tensor::<2>::random([5, 9], Distribution::Default, &device).transpose();
        let settings = settings(0.1);
        let (weights, gradients) = (random(), [random(), random()]);
        let ours = steps(&AdamW::new(settings), &weights, &gradients);
        assert_eq!(ours, steps(&settings.composed(), &weights, &gradients));
    }

    #[test]
    fn a_gradient_that_somebody_holds_is_left_alone() {
        let device = Device::flex();
        let x = || Tensor::<1>::from_floats([1.0, -2.0, 3.0], &device);
        let adamw = AdamW::new(settings(0.0));
        let gradient = x();
        let (_, state) = adamw.step(0.1, x(), gradient.clone(), None);
        let held = state.clone().expect("moments").momentum.moment_1;
        let before = bits(&held);
        adamw.step(0.1, x(), gradient.clone(), state);
        assert_eq!(bits(&gradient), bits(&x()));
        assert_eq!(bits(&held), before);
    }
}
