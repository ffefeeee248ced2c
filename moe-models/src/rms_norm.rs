//! RMS norm (Zhang & Sennrich 2019, arXiv 1910.07467, equation 4) as one operation with its own backward pass.
//!
//! ```text
//! y     = x / r * gamma                        r = sqrt(mean(x^2) + epsilon)
//! d x   = (dy gamma) / r + 2 x dm              dm = sum(dy gamma * (-x / r^2)) / (2 r width)
//! d gamma = sum over rows of dy x / r
//! ```
//!
//! Where there is no kernel it is Burn's own composition, to the same bits: gradients are added to those that `x` has
//! of other operations in the composition's order.

#[cfg(feature = "flex")]
mod flex;

use burn::nn::RmsNorm;
use burn::tensor::Tensor;

/// The norm of each row along the last axis.
///
/// # Shapes
///
/// - x: `[.., D]`
/// - output: `[.., D]`
///
/// # Panics
///
/// Panics if the last axis of `x` is not that of the norm.
pub(crate) fn rms_norm<const D: usize>(norm: &RmsNorm, x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::has_kernel(&x) {
        let [width] = norm.gamma.dims();
        burn::tensor::assert_shape!(x, [.., width]);
        return flex::rms_norm(x, norm.gamma.val(), norm.epsilon);
    }
    norm.forward(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::nn::RmsNormConfig;
    use burn::tensor::{Device, Distribution, TensorData, Tolerance};
    use moe_router::to_vec;

    /// The output, and the gradients of what it is made from.
    fn learned<const D: usize>(
        of: impl Fn(&RmsNorm, Tensor<D>) -> Tensor<D>,
        x: &Tensor<D>,
        gamma: &Tensor<1>,
        goes_on: bool,
    ) -> [Vec<f32>; 3] {
        let device = Device::flex().autodiff();
        let [width] = gamma.dims();
        let mut norm = RmsNormConfig::new(width).with_epsilon(1e-5).init(&device);
        norm.gamma = Param::from_tensor(Tensor::from_inner(gamma.clone()));
        let leaf = Tensor::from_inner(x.clone()).require_grad();
        // an inner tensor of the graph, as in a model
        let x = leaf.clone() * 1.5;
        let y = of(&norm, x.clone());
        let output = to_vec(y.clone().detach());
        // other weights for each element, and a second way for the gradient of `x`
        let loss = (y.clone() * (y * 3.0 - 0.7)).sum();
        let loss = if goes_on {
            loss + (x.exp() * 0.3).sum()
        } else {
            loss
        };
        let gradients = loss.backward();
        let of_x = leaf.grad(&gradients).expect("x is tracked");
        let of_gamma = norm.gamma.val().grad(&gradients).expect("gamma is tracked");
        [output, to_vec(of_x), to_vec(of_gamma)]
    }

    fn bits(learned: [Vec<f32>; 3]) -> [Vec<u32>; 3] {
        learned.map(|values| values.into_iter().map(f32::to_bits).collect())
    }

    fn compare<const D: usize>(shape: [usize; D]) {
        let device = Device::flex();
        let gamma = Tensor::<1>::random([shape[D - 1]], Distribution::Default, &device);
        for scale in [1.0, 1e-4, 300.0] {
            let x = Tensor::<D>::random(shape, Distribution::Normal(0.0, scale), &device);
            for goes_on in [false, scale == 1.0] {
                let ours = bits(learned(rms_norm, &x, &gamma, goes_on));
                let expected = bits(learned(RmsNorm::forward, &x, &gamma, goes_on));
                assert_eq!(ours, expected, "{shape:?} times {scale}, {goes_on}");
            }
        }
    }

    #[test]
    fn every_bit_is_that_of_the_composition() {
        compare([1, 1, 1]);
        compare([1, 1, 8]);
        compare([1, 5, 7]);
        compare([4, 1, 16]);
        compare([3, 50, 128]);
        compare([300, 77]);
        compare([64, 1030]);
    }

    #[test]
    fn a_leaf_has_all_its_gradients() {
        let device = Device::flex().autodiff();
        let norm = RmsNormConfig::new(4).init(&device);
        let values = [[1.0, -2.0, 3.0, 0.5], [0.0, 1.0, 1.0, -4.0]];
        let of = |norm_of: fn(&RmsNorm, Tensor<2>) -> Tensor<2>| {
            let x = Tensor::<2>::from_floats(values, &device).require_grad();
            let loss = (norm_of(&norm, x.clone()).powi_scalar(3) + x.clone()).sum();
            to_vec(x.grad(&loss.backward()).expect("x is tracked"))
        };
        assert_eq!(of(rms_norm), of(RmsNorm::forward));
    }

    #[test]
    fn one_row_by_hand() {
        // mean of squares (9 + 16) / 2 = 12.5, r = sqrt(12.5); y = x / r * gamma
        let device = Device::flex();
        let mut norm = RmsNormConfig::new(2).with_epsilon(1e-12).init(&device);
        norm.gamma = Param::from_tensor(Tensor::from_floats([1.0, 10.0], &device));
        let x = Tensor::<2>::from_floats([[3.0, 4.0]], &device);
        let r = 12.5f32.sqrt();
        let expected = TensorData::from([[3.0 / r, 40.0 / r]]);
        rms_norm(&norm, x)
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }

    #[test]
    #[should_panic(expected = "axis 1 expected 3, got 2")]
    fn another_width_is_refused() {
        let device = Device::flex();
        let norm = RmsNormConfig::new(3).init(&device);
        rms_norm(&norm, Tensor::<2>::zeros([1, 2], &device));
    }
}
