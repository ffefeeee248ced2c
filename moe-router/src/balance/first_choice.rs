//! The load balance loss of first choices (GShard, arXiv 2006.16668, section 2.2).

use super::sequences::{group_size, mean_probs, mean_product, tokens_by_sequence};
use crate::{Plan, Routing};
use burn::tensor::Tensor;

/// `E * sum_e f_e P_e` in each sequence, averaged over the sequences, where `f_e` is the share of tokens
/// whose first choice is expert `e`: the load balance loss of GShard (Lepikhin et al. 2020, arXiv
/// 2006.16668, section 2.2 and algorithm 1) and of Mesh TensorFlow, which trained ST-MoE.
///
/// The first choice is the first of a token's assignments in the list, kept or dropped: routers by which
/// tokens choose list the best first. `P_e` is the mean probability. Perfect balance gives 1. A soft plan
/// has no first choice, and its loss is 0.
///
/// # Shapes
///
/// - output: `[1]`
pub fn first_choice(routing: &Routing) -> Tensor<1> {
    let Plan::Sparse(plan) = &routing.plan else {
        return Tensor::zeros([1], &routing.logits.device());
    };
    let n_experts = routing.n_experts();
    let mut has_one_t = vec![false; routing.n_tokens()];
    let mut f_ge = vec![0.0; routing.n_groups * n_experts];
    let pairs = plan.assignments.tokens().iter();
    for (&t, &expert) in pairs.zip(plan.assignments.experts()) {
        let t = t as usize;
        if !std::mem::replace(&mut has_one_t[t], true) {
            f_ge[t / group_size(routing) * n_experts + expert as usize] += 1.0;
        }
    }
    let tokens_g = tokens_by_sequence(routing);
    for (row_e, n_tokens) in f_ge.chunks_mut(n_experts).zip(tokens_g) {
        let scale = n_experts as f32 / n_tokens.max(1.0);
        row_e.iter_mut().for_each(|f| *f *= scale);
    }
    mean_product(f_ge, mean_probs(routing), routing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    #[test]
    fn second_choices_do_not_count() {
        // f = (1, 0), P = (0.8, 0.2): 2 * 0.8, whatever the second choices
        let probs = [0.9, 0.1, 0.7, 0.3];
        for pairs in [&[(0, 0), (1, 0)][..], &[(0, 0), (0, 1), (1, 0), (1, 1)][..]] {
            let r = routing(pairs, &probs, 2, &Device::flex());
            assert_abs_diff_eq!(scalar(first_choice(&r)), 1.6, epsilon = 1e-6);
        }
    }

    #[test]
    fn is_that_of_each_sequence_dropped_or_not() {
        let probs = [0.9, 0.1, 0.7, 0.3, 0.4, 0.6, 0.8, 0.2];
        let pairs = [(0, 0), (1, 0), (2, 1), (3, 0)];
        // 2 * 0.8; f = (1/2, 1/2): 2 * 0.5 * (0.6 + 0.4). Their mean is 1.3
        let r = routing(&pairs, &probs, 2, &Device::flex()).groups(2);
        assert_abs_diff_eq!(scalar(first_choice(&r)), 1.3, epsilon = 1e-6);
    }
}
