//! The importance loss of V-MoE (arXiv 2106.05974, appendix A).

use super::sequences::{mean_cv_squared, mean_probs};
use crate::Routing;
use burn::tensor::Tensor;

/// `CV(sum_t P_te)^2` over each sequence, averaged over the sequences: V-MoE's importance loss, as its
/// published code computes it (Riquelme et al. 2021, arXiv 2106.05974, appendix A).
///
/// `P` are the probabilities without noise, of all experts and not of the chosen ones alone, which is the
/// difference to [`importance()`](super::importance()). A sequence is the group that the router fills
/// buffers in.
///
/// # Shapes
///
/// - output: `[1]`
pub fn vmoe_importance(routing: &Routing) -> Tensor<1> {
    mean_cv_squared(mean_probs(routing), routing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    const PROBS: [f32; 8] = [0.9, 0.1, 0.7, 0.3, 0.5, 0.5, 0.5, 0.5];

    #[test]
    fn is_that_of_each_sequence_whoever_was_chosen() {
        // sums (1.6, 0.4): mean 1, variance 0.36; sums (1, 1): 0. Their mean is 0.18
        for pairs in [&[(0, 0), (1, 0)][..], &[(0, 1)][..]] {
            let r = routing(pairs, &PROBS, 2, &Device::flex()).groups(2);
            assert_abs_diff_eq!(scalar(vmoe_importance(&r)), 0.18, epsilon = 1e-5);
        }
    }

    #[test]
    fn padding_and_sequences_of_nothing_else_count_nothing() {
        // of the first sequence (0.9, 0.1) is left: mean 0.5, variance 0.16; of the second nothing
        let padding = [false, true, true, true];
        let r = routing(&[(0, 0)], &PROBS, 2, &Device::flex())
            .groups(2)
            .padding(Some(padding.into()));
        assert_abs_diff_eq!(scalar(vmoe_importance(&r)), 0.64, epsilon = 1e-5);
    }
}
