//! Cross entropy with the softmax of scores, as one operation with its own backward pass.
//!
//! ```text
//! e_nv     = exp(x_nv - max_v x_nv)
//! loss_n   = log sum_v e_nv - (x_n,target - max_v x_nv)
//! d x_nv   = d loss_n (e_nv / sum_v e_nv - [v = target])
//! ```
//!
//! Where there is no kernel it is composed of a log-softmax and a gather, to the same bits.

#[cfg(feature = "flex")]
mod flex;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, assert_shape};

/// The negative log-likelihood of each row's target in nats, `-log softmax(x)[target]`.
///
/// # Shapes
///
/// - logits: `[N, V]`
/// - targets: `[N]`, each below V
/// - output: `[N]`
///
/// # Panics
///
/// Panics if there is not one target for each row, or on the CPU if one is not below V.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [n, _] = logits.dims();
    assert_shape!(targets, [n]);
    #[cfg(feature = "flex")]
    if flex::has_kernel(&logits) {
        return flex::cross_entropy(logits, targets);
    }
    composed(logits, targets)
}

fn composed(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [n, _] = logits.dims();
    let of_targets = log_softmax(logits, 1).gather(1, targets.reshape([n, 1]));
    of_targets.reshape([n]).neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, TensorData, Tolerance};
    use moe_router::to_vec;

    /// Losses and the gradients of scores, each loss with another weight.
    fn learned(
        of: impl Fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>,
        logits: &Tensor<2>,
        targets: &Tensor<1, Int>,
    ) -> [Tensor<1>; 2] {
        let [n, v] = logits.dims();
        let device = Device::flex().autodiff();
        let logits = Tensor::from_data(logits.to_data(), &device).require_grad();
        let targets = Tensor::from_data(targets.to_data(), &device);
        let losses = of(logits.clone(), targets);
        let weights = Tensor::<1, Int>::arange(1..n as i64 + 1, &device).float() / 7.0;
        let gradients = (losses.clone() * weights).sum().backward();
        let d_logits = logits.grad(&gradients).expect("scores are tracked");
        [losses.detach().inner(), d_logits.reshape([n * v])]
    }

    #[test]
    fn two_rows_by_hand() {
        // probabilities 1/4 and 3/4, then 1/2 and 1/2; gradients p - [v = target], of weights 1/7 and 2/7
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[0.0, 3f32.ln()], [7.0, 7.0]], &device);
        let targets = Tensor::<1, Int>::from_data([1, 0], &device);
        let [losses, gradients] = learned(cross_entropy, &logits, &targets);
        let near = |x: Tensor<1>, expected: &[f32]| {
            let expected = TensorData::new(expected.to_vec(), [expected.len()]);
            x.into_data()
                .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
        };
        near(losses, &[(4f32 / 3.0).ln(), 2f32.ln()]);
        near(gradients, &[0.25 / 7.0, -0.25 / 7.0, -1.0 / 7.0, 1.0 / 7.0]);
    }

    #[test]
    fn every_bit_is_that_of_the_composition() {
        let device = Device::flex();
        for (n, v) in [(1, 1), (3, 5), (7, 16), (300, 77), (64, 1024)] {
            for scale in [1.0, 30.0, 300.0] {
                let logits = Tensor::<2>::random([n, v], Distribution::Default, &device) * scale;
                let targets = Tensor::<1, Int>::arange(0..n as i64, &device) * 31 % v as i64;
                let ours = learned(cross_entropy, &logits, &targets);
                let expected = learned(composed, &logits, &targets);
                for (ours, expected) in ours.into_iter().zip(expected) {
                    let [ours, expected] = [ours, expected].map(to_vec);
                    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&ours), bits(&expected), "[{n}, {v}] times {scale}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let device = Device::flex();
        let rows = [
            [f32::NAN, 0.0],
            [f32::INFINITY, 0.0],
            [f32::NEG_INFINITY, f32::NEG_INFINITY],
            [f32::NEG_INFINITY, 0.0],
        ];
        let logits = Tensor::<2>::from_floats(rows, &device);
        let targets = Tensor::<1, Int>::from_data([1, 1, 1, 1], &device);
        let losses = to_vec(cross_entropy(logits.clone(), targets.clone()));
        let expected = to_vec(composed(logits, targets));
        for (ours, expected) in losses.iter().zip(&expected) {
            assert_eq!(ours.is_nan(), expected.is_nan(), "{losses:?} {expected:?}");
        }
        assert_eq!(losses[3], 0.0);
    }

    #[test]
    #[should_panic(expected = "a target lies below the 2 scores of a row, got 2")]
    fn a_target_that_is_not_there_is_refused() {
        let device = Device::flex();
        let logits = Tensor::<2>::zeros([1, 2], &device);
        cross_entropy(logits, Tensor::from_data([2], &device));
    }
}
