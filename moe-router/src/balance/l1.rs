//! The load-balanced L1 regularisation of ReMoE (arXiv 2412.14711, section 3.3).

use crate::{Plan, Routing};
use burn::tensor::{Tensor, TensorData};

/// `m / T * sum_t sum_e f_e w_te`: the load-balanced L1 regularisation of ReMoE (Wang et al. 2024,
/// arXiv 2412.14711, section 3.3), where `f_e = E / T * #{t: e has t}` carries no gradient, `w`
/// are the weights, and `m` is the routing's own
/// [multiplier](crate::Routing::l1_multiplier), 1 if it has none.
///
/// ReMoE's router gives the multiplier `lambda / k`, which makes this the paper's `lambda_i L_reg`. The
/// weights of a soft plan sum to 1 for every token, so that its loss is 0 by convention.
///
/// # Shapes
///
/// - output: `[1]`
pub fn l1(routing: &Routing) -> Tensor<1> {
    let Plan::Sparse(plan) = &routing.plan else {
        return Tensor::zeros([1], &routing.logits.device());
    };
    let n_tokens = routing.n_routed_tokens().max(1) as f64;
    let asked = routing.load().asked;
    let scale = routing.n_experts() as f64 / (n_tokens * n_tokens);
    let factors: Vec<f32> = plan
        .assignments
        .experts()
        .iter()
        .map(|&e| (asked[e as usize] * scale) as f32)
        .collect();
    let n = factors.len();
    let factor_a = Tensor::<1>::from_data(TensorData::new(factors, [n]), &plan.weights.device());
    let loss = (plan.weights.clone() * factor_a).sum();
    match &routing.l1_multiplier {
        Some(multiplier) => loss * multiplier.clone(),
        None => loss,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    #[test]
    fn equals_the_closed_form() {
        let device = Device::flex();
        // f = 2 / 2 * (2, 1) = (2, 1); weights 0.5, 0.25 of expert 0 and 0.75 of expert 1:
        // (2 * 0.5 + 2 * 0.25 + 1 * 0.75) / 2 = 1.125
        let pairs = [(0, 0), (1, 0), (1, 1)];
        let mut r = routing(&pairs, &[0.5, 0.5, 0.25, 0.75], 2, &device);
        assert_abs_diff_eq!(scalar(l1(&r)), 1.125, epsilon = 1e-6);
        r.l1_multiplier = Some(Tensor::from_floats([0.2], &device));
        assert_abs_diff_eq!(scalar(l1(&r)), 0.225, epsilon = 1e-6);
    }

    #[test]
    fn the_gradient_is_larger_for_the_busier_expert() {
        let device = Device::flex().autodiff();
        let pairs = [(0, 0), (1, 0), (1, 1)];
        let mut r = routing(&pairs, &[0.5; 4], 2, &device);
        let weights = Tensor::<1>::from_floats([0.5, 0.25, 0.75], &device).require_grad();
        let Plan::Sparse(plan) = &mut r.plan else {
            panic!("a sparse plan");
        };
        plan.weights = weights.clone();
        let grads = l1(&r).backward();
        // f_e / T = (2, 2, 1) / 2
        let grad = weights.grad(&grads).expect("a gradient").into_data();
        grad.assert_eq(&TensorData::from([1.0f32, 1.0, 0.5]), true);
    }

    #[test]
    fn nobody_anywhere_costs_nothing() {
        let r = routing(&[], &[0.5, 0.5], 2, &Device::flex());
        assert_eq!(scalar(l1(&r)), 0.0);
    }
}
