//! Gradient clipping by the global norm (Pascanu et al. 2012, arXiv 1211.5063, algorithm 1). Burn's
//! own clipping is of each tensor by itself.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Scales all gradients so that the norm of all of them together is at most `max_norm` (0: any), and
/// returns the norm that they had.
pub fn clip_by_global_norm<M: Module>(
    module: &M,
    grads: &mut GradientsParams,
    max_norm: f64,
) -> f64 {
    let mut squares = Squares { grads, sum: None };
    module.visit(&mut squares);
    let norm = squares
        .sum
        .map_or(0.0, |sum| f64::from(sum.into_scalar::<f32>()))
        .sqrt();
    // false for a norm that is not a number: it is returned, and the gradients stay as they are
    if max_norm > 0.0 && norm > max_norm {
        module.visit(&mut Scale {
            grads,
            factor: max_norm / norm,
        });
    }
    norm
}

/// Sums squares on the device, so that one number is read back and not one for each parameter.
struct Squares<'a> {
    grads: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let square = grad.square().sum();
            // in the order of the parameters, so that a run that is continued clips by the same bits
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct Scale<'a> {
    grads: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad * self.factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, TensorData, Tolerance};

    fn grads(device: &Device) -> (Linear, GradientsParams) {
        let mut linear = LinearConfig::new(1, 1).init(device);
        linear.weight = Param::from_tensor(Tensor::from_floats([[1.0]], device));
        let x = Tensor::<2>::from_floats([[3.0]], device);
        let loss = linear.forward(x).sum() * 3.0;
        let grads = GradientsParams::from_grads(loss.backward(), &linear);
        (linear, grads)
    }

    #[test]
    fn clips_the_norm_of_all_gradients_together() {
        // gradients 9 and 3: norm sqrt(90); clipped to 1: 9 / sqrt(90) and 3 / sqrt(90)
        let (linear, mut grads) = grads(&Device::flex().autodiff());
        let norm = clip_by_global_norm(&linear, &mut grads, 1.0);
        assert!((norm - 90f64.sqrt()).abs() < 1e-5);
        let weight = grads.get::<2>(linear.weight.id).expect("a gradient");
        let expected = TensorData::from([[9.0 / 90f32.sqrt()]]);
        weight
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn leaves_small_gradients_and_zero_means_any() {
        for max_norm in [100.0, 0.0] {
            let (linear, mut grads) = grads(&Device::flex().autodiff());
            clip_by_global_norm(&linear, &mut grads, max_norm);
            let weight = grads.get::<2>(linear.weight.id).expect("a gradient");
            weight
                .into_data()
                .assert_eq(&TensorData::from([[9.0f32]]), true);
        }
    }
}
