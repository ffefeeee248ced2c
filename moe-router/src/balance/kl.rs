//! The divergence of the experts' mean probabilities from the uniform distribution.

use super::{entropy::p_log_p, mean_over_tokens};
use crate::Routing;
use burn::tensor::Tensor;

/// `KL(P || uniform) = ln E + sum_e P_e ln P_e`, in nats, of the experts' mean probabilities `P`.
///
/// The divergence that articles often take the Switch loss for, under its own name; no paper trained
/// with it is known to be its source. 0 at balance and at most `ln E`, when one expert has
/// all probability. Unlike the Switch loss it looks at no choice, and its gradient grows without bound
/// as an expert's mean probability goes to 0.
///
/// # Shapes
///
/// - output: `[1]`
pub fn kl(routing: &Routing) -> Tensor<1> {
    let prob_e = mean_over_tokens(routing.probs(), routing);
    p_log_p(prob_e).sum() + (routing.n_experts() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn equals_the_closed_form_with_its_gradient() {
        // P = (0.75, 0.25): ln 2 + 0.75 ln 0.75 + 0.25 ln 0.25 = 0.6931472 - 0.5623351 = 0.1308121
        // dL/dp_te = (ln P_e + 1) / T = (0.7123179, -0.3862944) / 2
        let device = Device::flex().autodiff();
        let probs = Tensor::<2>::from_floats([[0.9, 0.1], [0.6, 0.4]], &device).require_grad();
        let mut r = routing(&[(0, 0), (1, 0)], &[0.9, 0.1, 0.6, 0.4], 2, &device);
        r.probs = Some(probs.clone());
        let loss = kl(&r);
        assert_abs_diff_eq!(scalar(loss.clone()), 0.130_812_1, epsilon = 1e-6);
        let grad = probs.grad(&loss.backward()).expect("a gradient");
        let row = [0.356_158_95f32, -0.193_147_2];
        grad.into_data()
            .assert_approx_eq::<f32>(&TensorData::from([row, row]), Tolerance::default());
    }

    #[test]
    fn from_zero_at_balance_to_ln_e_at_collapse() {
        let device = Device::flex();
        let balanced = routing(&[(0, 0), (1, 1)], &[0.8, 0.2, 0.2, 0.8], 2, &device);
        assert_abs_diff_eq!(scalar(kl(&balanced)), 0.0, epsilon = 1e-6);
        let collapsed = routing(&[(0, 0)], &[1.0, 0.0, 0.0, 0.0], 4, &device);
        assert_abs_diff_eq!(scalar(kl(&collapsed)), 4.0f32.ln(), epsilon = 1e-6);
    }
}
