//! The load balance loss of MoE++ for zero-computation experts (arXiv 2410.07348, section 3.3).

use super::share_times_prob;
use crate::Routing;
use burn::tensor::Tensor;

/// `N * sum_e eta_e f_e P_e`: the load balance loss of MoE++ (Jin et al. 2024, arXiv 2410.07348, section
/// 3.3). `eta` is 1 for an expert with a network and `tau` for a zero-computation expert (see
/// [`Bypass`](crate::Bypass)), which so may take `1 / tau` times as much.
///
/// `f_e` is the share of all assignments asked of expert `e` and `P_e` its mean probability, over all `N`
/// experts. Differs from the paper, whose `f` sums to `k` and which does not multiply by `N`. Here, as in
/// [`load_balance`](super::load_balance()), perfect balance depends on neither; without zero-computation
/// experts the two losses are the same.
///
/// # Shapes
///
/// - output: `[1]`
pub fn heterogeneous(routing: &Routing) -> Tensor<1> {
    let asked = routing.load().asked;
    let total = asked.iter().sum::<f64>().max(1.0);
    let tau = routing.bypass.as_ref().map_or(1.0, |bypass| bypass.tau);
    let n_computed = routing.n_computed_experts();
    let eta = |e| if e < n_computed { 1.0 } else { tau };
    let share: Vec<f32> = asked
        .iter()
        .enumerate()
        .map(|(e, x)| (eta(e) * x / total) as f32)
        .collect();
    let share_e = Tensor::from_floats(share.as_slice(), &routing.logits.device());
    share_times_prob(share_e, routing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bypass;
    use crate::balance::load_balance;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    #[test]
    fn free_experts_weigh_tau() {
        let device = Device::flex();
        let pairs = [(0, 0), (1, 2), (2, 2), (3, 1)];
        let probs = [0.5, 0.3, 0.2].repeat(4);
        let plain = routing(&pairs, &probs, 3, &device);
        assert_eq!(
            scalar(heterogeneous(&plain)),
            scalar(load_balance(&plain)),
            "without free experts it is the Switch loss"
        );
        let free = plain.bypass(Bypass {
            n_free: 1,
            of_token: Tensor::zeros([4, 1], &device),
            of_vectors: None,
            tau: 0.5,
        });
        // f = (1/4, 1/4, 1/2), P = (0.5, 0.3, 0.2), eta = (1, 1, 1/2): 3 * (0.125 + 0.075 + 0.05)
        assert_abs_diff_eq!(scalar(heterogeneous(&free)), 0.75, epsilon = 1e-6);
    }
}
