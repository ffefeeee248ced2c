//! The sequence-wise balance loss of DeepSeek-V3 (arXiv 2412.19437, equations 17 to 20).

use super::sequences::{
    chosen_there, counts_there, group_size, is_padding, mean_probs, mean_product,
    mean_product_there, tokens_by_sequence,
};
use crate::parts::{top_k_into, top_k_on_device};
use crate::{Routing, to_vec};
use burn::tensor::Tensor;

/// The sequence-wise balance loss of DeepSeek-V3 (arXiv 2412.19437, equations 17 to 20), averaged over
/// the sequences of the batch.
///
/// `f_e = E / (k M) * #{t: e among the k largest of t's own scores}`, without the selection bias and
/// without groups; `P_e` is the sequence's mean of the normalised scores. Perfect balance gives 1.
///
/// # Shapes
///
/// - output: `[1]`
pub fn sequence(routing: &Routing) -> Tensor<1> {
    let n_experts = routing.n_experts();
    if chosen_there(routing).is_some() {
        let k = super::experts_per_token(routing);
        let best_tk = top_k_on_device(routing.probs().detach(), k);
        let scale = n_experts as f64 / (k * group_size(routing)) as f64;
        let f_ge = counts_there(best_tk, n_experts, routing) * scale;
        return mean_product_there(f_ge, mean_probs(routing), routing);
    }
    mean_product(chosen_share(routing), mean_probs(routing), routing)
}

/// `E / k` times the share of each sequence's tokens that rank an expert among their `k` best, `[G, E]`
/// row by row.
fn chosen_share(routing: &Routing) -> Vec<f32> {
    let n_experts = routing.n_experts();
    let tokens_g = tokens_by_sequence(routing);
    let k = super::experts_per_token(routing);
    let probs_te = to_vec(routing.probs().detach());
    let mut share_ge = vec![0.0f32; routing.n_groups * n_experts];
    let mut best_k = vec![0; k];
    for (t, row_e) in probs_te.chunks(n_experts).enumerate() {
        if is_padding(routing, t) {
            continue;
        }
        let group = t / group_size(routing);
        top_k_into(row_e, &mut best_k);
        for &expert in &best_k {
            let step = n_experts as f32 / (k as f32 * tokens_g[group]);
            share_ge[group * n_experts + expert as usize] += step;
        }
    }
    share_ge
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    #[test]
    fn is_computed_in_each_sequence() {
        // two sequences of two tokens, each all on one expert: balanced as a batch, not as sequences
        let pairs = [(0, 0), (1, 0), (2, 1), (3, 1)];
        let probs = [0.9, 0.1, 0.9, 0.1, 0.1, 0.9, 0.1, 0.9];
        let r = routing(&pairs, &probs, 2, &Device::flex()).groups(2);
        // each: f = (2, 0), P = (0.9, 0.1): 1.8
        assert_abs_diff_eq!(scalar(sequence(&r)), 1.8, epsilon = 1e-5);
    }

    #[test]
    fn counts_by_scores_and_not_by_the_choice() {
        // a bias sent both tokens to expert 1; their own scores prefer expert 0
        let r = routing(&[(0, 1), (1, 1)], &[0.8, 0.2, 0.6, 0.4], 2, &Device::flex());
        // f = (2, 0), P = (0.7, 0.3): 1.4
        assert_abs_diff_eq!(scalar(sequence(&r)), 1.4, epsilon = 1e-5);
    }
}
