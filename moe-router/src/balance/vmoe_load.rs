//! The load loss of V-MoE (arXiv 2106.05974, appendix A).

use super::experts_per_token;
use super::sequences::{mean_cv_squared, means};
use crate::parts::{top_k, top_k_on_device};
use crate::{NoisyLogits, Plan, Routing, to_vec};
use burn::tensor::{Int, Tensor, TensorData};

/// `CV(mean_t p_te)^2` over each sequence, averaged over the sequences, where `p` is the probability that
/// an expert's score exceeds the token's threshold if its noise is drawn anew: V-MoE's load loss, as its
/// published code computes it (Riquelme et al. 2021, arXiv 2106.05974, appendix A).
///
/// ```text
/// p_te = 1 - Phi((h_t - z_te) / std_te)      h_t = the k-th largest noisy score of t
/// ```
///
/// The threshold is the same for all experts of a token and carries a gradient, which are the differences
/// to [`load()`](super::load()). 0 for a routing without noise, as in evaluation.
///
/// # Shapes
///
/// - output: `[1]`
pub fn vmoe_load(routing: &Routing) -> Tensor<1> {
    let Some(noisy) = &routing.noisy else {
        return Tensor::zeros([1], &routing.logits.device());
    };
    let kth_t1 = kth_largest(routing, noisy);
    // gathered where the scores are: the threshold carries its gradient
    let threshold_t1 = noisy.logits.clone().gather(1, kth_t1);
    let z_te = (routing.logits.clone() - threshold_t1) / (noisy.std.clone() + 1e-10);
    // 1 - Phi(-z) = Phi(z)
    let p_te = (z_te / std::f64::consts::SQRT_2).erf() * 0.5 + 0.5;
    mean_cv_squared(means(p_te, routing), routing)
}

/// The expert of the `k`-th largest noisy score of each token, `[T, 1]`: found where the experts were chosen.
fn kth_largest(routing: &Routing, noisy: &NoisyLogits) -> Tensor<2, Int> {
    let k = experts_per_token(routing);
    let noisy_te = noisy.logits.clone().detach();
    if matches!(&routing.plan, Plan::Sparse(plan) if plan.assignments.on_device().is_some()) {
        return top_k_on_device(noisy_te, k).narrow(1, k - 1, 1);
    }
    let ([n_tokens, n_experts], device) = (noisy_te.dims(), noisy_te.device());
    let kth_t: Vec<i64> = to_vec(noisy_te)
        .chunks(n_experts)
        .map(|row_e| i64::from(top_k(row_e, k)[k - 1]))
        .collect();
    Tensor::from_data(TensorData::new(kth_t, [n_tokens, 1]), &device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    fn noisy(logits: Tensor<2>, noise: [f32; 2]) -> Routing {
        let device = logits.device();
        let mut r = routing(&[(0, 0)], &[0.5, 0.5], 2, &device);
        r.noisy = Some(NoisyLogits {
            logits: logits.clone() + Tensor::<2>::from_floats([noise], &device),
            std: Tensor::ones([1, 2], &device),
        });
        r.logits = logits;
        r
    }

    #[test]
    fn equals_the_closed_form() {
        let logits = Tensor::from_floats([[1.0, 0.0]], &Device::flex());
        // noisy (1.5, 0): the threshold of both is 1.5. Phi(-0.5) = 0.3085375, Phi(-1.5) = 0.0668072
        // mean 0.1876724, deviation 0.1208652: 0.0146084 / 0.0352209
        let loss = vmoe_load(&noisy(logits, [0.5, 0.0]));
        assert_abs_diff_eq!(scalar(loss), 0.414_764, epsilon = 1e-5);
    }

    #[test]
    fn the_threshold_carries_a_gradient() {
        // adding the same to all scores of a token moves its threshold alike: derivatives sum to zero
        let logits = Tensor::<2>::from_floats([[1.0, 0.0]], &Device::flex().autodiff());
        let logits = logits.require_grad();
        let grads = vmoe_load(&noisy(logits.clone(), [0.5, 0.0])).backward();
        let grad = to_vec(logits.grad(&grads).expect("a gradient"));
        assert!(grad[0].abs() > 0.01, "{grad:?}");
        assert_abs_diff_eq!(grad[0] + grad[1], 0.0, epsilon = 1e-6);
    }

    #[test]
    fn without_noise_there_is_none() {
        let r = routing(&[(0, 0)], &[0.5, 0.5], 2, &Device::flex());
        assert_eq!(scalar(vmoe_load(&r)), 0.0);
    }
}
