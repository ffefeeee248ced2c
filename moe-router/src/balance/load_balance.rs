//! The load balance loss of the Switch Transformer (arXiv 2101.03961, equations 4 to 6).

use super::share_times_prob;
use crate::{Plan, Routing};
use burn::tensor::{DType, Tensor};

/// `E * sum_e f_e P_e`: the load balance loss of GShard and the Switch Transformer (Fedus et al. 2021,
/// arXiv 2101.03961, equations 4 to 6).
///
/// `f_e` is the share of all assignments asked of expert `e`, dropped ones included, and `P_e` its mean
/// probability. Shares sum to 1 whatever the number of experts a token, so perfect balance gives 1;
/// the loss of the Mixtral code, whose shares sum to `k`, is `k` times this.
///
/// # Shapes
///
/// - output: `[1]`
pub fn load_balance(routing: &Routing) -> Tensor<1> {
    if let Plan::Sparse(plan) = &routing.plan
        && let Some(places) = plan.assignments.places()
    {
        // counted on the device, where the host need not know it
        let asked_e = places.asked_e.clone().float().cast(DType::F32);
        return share_times_prob(asked_e / plan.assignments.len() as f64, routing);
    }
    let asked = routing.load().asked;
    let total = asked.iter().sum::<f64>().max(1.0);
    let share: Vec<f32> = asked.iter().map(|x| (x / total) as f32).collect();
    let share_e = Tensor::from_floats(share.as_slice(), &routing.logits.device());
    share_times_prob(share_e, routing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn equals_the_closed_form() {
        // f = (2/3, 1/3), P = (0.6, 0.4): 2 * (0.4 + 0.13333) = 1.06667
        let pairs = [(0, 0), (1, 0), (2, 1)];
        let probs = [0.8, 0.2, 0.6, 0.4, 0.4, 0.6];
        let loss = load_balance(&routing(&pairs, &probs, 2, &Device::flex()));
        assert_abs_diff_eq!(scalar(loss), 1.066_666_6, epsilon = 1e-5);
    }

    #[test]
    fn balance_gives_one_whatever_k() {
        let device = Device::flex();
        let one = [(0, 0), (1, 1)];
        let two = [(0, 0), (0, 1), (1, 0), (1, 1)];
        for pairs in [one.as_slice(), two.as_slice()] {
            let loss = load_balance(&routing(pairs, &[0.5; 4], 2, &device));
            assert_abs_diff_eq!(scalar(loss), 1.0, epsilon = 1e-6);
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_probabilities_alone() {
        // dL/dp_te = E * f_e / T = 2 * (1, 0) / 2
        let device = Device::flex().autodiff();
        let probs = Tensor::<2>::from_floats([[0.7, 0.3], [0.6, 0.4]], &device).require_grad();
        let mut r = routing(&[(0, 0), (1, 0)], &[0.7, 0.3, 0.6, 0.4], 2, &device);
        r.probs = Some(probs.clone());
        let grads = load_balance(&r).backward();
        let grad = probs.grad(&grads).expect("a gradient").into_data();
        grad.assert_eq(&TensorData::from([[1.0f32, 0.0], [1.0, 0.0]]), true);
    }

    #[test]
    fn padding_counts_nothing() {
        let device = Device::flex();
        let plain = routing(&[(0, 0)], &[0.9, 0.1], 2, &device);
        let padded = routing(&[(0, 0)], &[0.9, 0.1, 0.3, 0.7], 2, &device)
            .padding(Some([false, true].into()));
        assert_abs_diff_eq!(
            scalar(load_balance(&plain)),
            scalar(load_balance(&padded)),
            epsilon = 1e-6
        );
    }
}
