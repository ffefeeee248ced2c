//! The smooth load loss of noisy top-k routing (arXiv 1701.06538, equations 8 to 11).

use super::{cv_squared, experts_per_token, mean_over_tokens};
use crate::parts::kth_largest;
use crate::{Load, NoisyLogits, Routing, to_vec};
use burn::tensor::{Tensor, TensorData};

/// `CV(Load(X))^2` with the smooth load estimator: the probability that each expert is chosen again
/// if its noise alone is drawn anew (Shazeer et al. 2017, arXiv 1701.06538, equations 8 to 11).
///
/// Without noise (in evaluation, or for a router that has none) the load is a count without a
/// gradient, and the loss its squared coefficient of variation. Differs from the paper: the threshold
/// that a score must exceed is held constant in the gradient.
///
/// # Shapes
///
/// - output: `[1]`
pub fn load(routing: &Routing) -> Tensor<1> {
    match &routing.noisy {
        Some(noisy) if experts_per_token(routing) < routing.n_experts() => {
            cv_squared(mean_over_tokens(chosen_again(routing, noisy), routing))
        }
        // without noise, or if every expert is chosen whatever the noise
        _ => cv_squared(counted(&routing.load(), routing)),
    }
}

/// `P(x, e) = Phi((z_e - kth_excluding(H, k, e)) / std_e)`, `[T, E]` (equation 9).
fn chosen_again(routing: &Routing, noisy: &NoisyLogits) -> Tensor<2> {
    let threshold_te = kth_excluding(noisy, experts_per_token(routing));
    let z_te = (routing.logits.clone() - threshold_te) / (noisy.std.clone() + 1e-10);
    (z_te / std::f64::consts::SQRT_2).erf() * 0.5 + 0.5
}

/// The `k`-th largest noisy score among the other experts, `[T, E]`, without a gradient.
fn kth_excluding(noisy: &NoisyLogits, k: usize) -> Tensor<2> {
    let [n_tokens, n_experts] = noisy.logits.dims();
    let host_te = to_vec(noisy.logits.clone().detach());
    let mut threshold_te = Vec::with_capacity(host_te.len());
    for row_e in host_te.chunks(n_experts) {
        // without one of the k largest, the k-th of the others is the (k + 1)-th of all
        let (kth, next) = (kth_largest(row_e, k), kth_largest(row_e, k + 1));
        threshold_te.extend(row_e.iter().map(|&h| if h >= kth { next } else { kth }));
    }
    let data = TensorData::new(threshold_te, [n_tokens, n_experts]);
    Tensor::from_data(data, &noisy.logits.device())
}

fn counted(load: &Load, routing: &Routing) -> Tensor<1> {
    let counts: Vec<f32> = load.asked.iter().map(|&x| x as f32).collect();
    Tensor::from_floats(counts.as_slice(), &routing.logits.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    #[test]
    fn equals_the_closed_form_under_noise() {
        let device = Device::flex();
        let mut r = routing(&[(0, 0)], &[0.5, 0.5], 2, &device);
        r.logits = Tensor::from_floats([[1.0, 0.0]], &device);
        let noisy = NoisyLogits {
            logits: Tensor::from_floats([[2.0, 0.0]], &device),
            std: Tensor::ones([1, 2], &device),
        };
        r.noisy = Some(noisy);
        // k = 1: expert 0 against 0: Phi(1 - 0) = 0.8413447; expert 1 against 2: Phi(0 - 2) = 0.0227501
        // mean 0.4320474, deviation 0.4092973: CV^2 = 0.1675243 / 0.1866650 = 0.8974596
        assert_abs_diff_eq!(scalar(load(&r)), 0.897_459_6, epsilon = 1e-4);
    }

    #[test]
    fn counts_without_noise() {
        // counts (2, 0): mean 1, variance 1
        let r = routing(&[(0, 0), (1, 0)], &[0.5; 4], 2, &Device::flex());
        assert_abs_diff_eq!(scalar(load(&r)), 1.0, epsilon = 1e-5);
    }

    #[test]
    fn the_threshold_leaves_out_the_expert_itself() {
        let device = Device::flex();
        let noisy = NoisyLogits {
            logits: Tensor::from_floats([[3.0, 1.0, 2.0]], &device),
            std: Tensor::ones([1, 3], &device),
        };
        // k = 2: without 3 the second of (1, 2) is 1; without 1 the second of (3, 2) is 2; without 2: 1
        let expected = TensorData::from([[1.0f32, 2.0, 1.0]]);
        kth_excluding(&noisy, 2)
            .into_data()
            .assert_eq(&expected, true);
    }
}
