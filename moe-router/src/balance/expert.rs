//! The expert-level balance loss of DeepSeekMoE (arXiv 2401.06066, equations 12 to 14).

use super::sequences::{
    balanced_share, chosen_there, counts_there, mean_probs, mean_product, mean_product_there,
};
use crate::Routing;
use burn::tensor::Tensor;

/// `sum_e f_e P_e` in each sequence, averaged over the sequences: the expert-level balance loss of
/// DeepSeekMoE (Dai et al. 2024, arXiv 2401.06066, equations 12 to 14) and DeepSeek-V2 (arXiv
/// 2405.04434, equations 23 to 25).
///
/// `f_e = E / (k M) * #{t: t chose e}` counts what was chosen, groups and biases included, and `P_e` is
/// the sequence's mean probability. Perfect balance gives 1. Differs from [`sequence()`](super::sequence())
/// in counting the choice instead of the best scores; over one sequence it is
/// [`load_balance()`](super::load_balance()).
///
/// # Shapes
///
/// - output: `[1]`
pub fn expert(routing: &Routing) -> Tensor<1> {
    let n_experts = routing.n_experts();
    if let Some(experts_tk) = chosen_there(routing) {
        let scale =
            n_experts as f64 * routing.n_groups as f64 / experts_tk.shape().num_elements() as f64;
        let f_ge = counts_there(experts_tk, n_experts, routing) * scale;
        return mean_product_there(f_ge, mean_probs(routing), routing);
    }
    mean_product(balanced_share(routing), mean_probs(routing), routing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::load_balance;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    #[test]
    fn counts_the_choice_in_each_sequence() {
        // sequence 0: both tokens chose expert 1, f = (0, 2), P = (0.7, 0.3): 0.6
        // sequence 1: one each, f = (1, 1), P = (0.4, 0.6): 1.0; the mean is 0.8
        let probs = [0.8, 0.2, 0.6, 0.4, 0.5, 0.5, 0.3, 0.7];
        let pairs = [(0, 1), (1, 1), (2, 0), (3, 1)];
        let r = routing(&pairs, &probs, 2, &Device::flex()).groups(2);
        assert_abs_diff_eq!(scalar(expert(&r)), 0.8, epsilon = 1e-6);
    }

    #[test]
    fn over_one_sequence_it_is_the_switch_loss() {
        let probs = [0.8, 0.2, 0.6, 0.4, 0.4, 0.6];
        let r = routing(&[(0, 0), (1, 0), (2, 1)], &probs, 2, &Device::flex());
        assert_abs_diff_eq!(scalar(expert(&r)), scalar(load_balance(&r)), epsilon = 1e-6);
    }

    #[test]
    fn a_sequence_of_padding_counts_nothing() {
        let device = Device::flex();
        let plain = routing(&[(0, 0), (1, 0)], &[0.8, 0.2, 0.6, 0.4], 2, &device);
        let probs = [0.8, 0.2, 0.6, 0.4, 0.1, 0.9, 0.1, 0.9];
        let padded = routing(&[(0, 0), (1, 0)], &probs, 2, &device)
            .groups(2)
            .padding(Some([false, false, true, true].into()));
        assert_abs_diff_eq!(scalar(expert(&plain)), 1.4, epsilon = 1e-6); // f = (2, 0), P = (0.7, 0.3)
        assert_abs_diff_eq!(scalar(expert(&padded)), 1.4, epsilon = 1e-6);
    }
}
