//! The mean entropy of a token's distribution over experts (arXiv 2403.07652).

use super::without_padding;
use crate::Routing;
use burn::tensor::Tensor;

/// `-1/T sum_t sum_e p_te ln p_te`, in nats: the mean entropy of a token's distribution over experts,
/// which the top-p router adds so that distributions stay sharp and sets small (Huang et al. 2024,
/// arXiv 2403.07652, the dynamic loss).
///
/// It sharpens, and does not balance: 0 for a router that is certain, `ln E` for one that is undecided.
///
/// # Shapes
///
/// - output: `[1]`
pub fn entropy(routing: &Routing) -> Tensor<1> {
    let p_log_p_te = without_padding(p_log_p(routing.probs()), routing);
    p_log_p_te.sum() / -(routing.n_routed_tokens().max(1) as f64)
}

/// `p ln p`, and 0 with a finite gradient at `p = 0`.
pub(super) fn p_log_p<const D: usize>(p: Tensor<D>) -> Tensor<D> {
    p.clone() * p.clamp_min(1e-20).log()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    #[test]
    fn equals_the_closed_form() {
        // an undecided token (ln 2) and a certain one (0): the mean is ln 2 / 2
        let r = routing(&[(0, 0), (1, 0)], &[0.5, 0.5, 1.0, 0.0], 2, &Device::flex());
        assert_abs_diff_eq!(scalar(entropy(&r)), 0.346_573_6, epsilon = 1e-6);
    }

    #[test]
    fn the_gradient_is_finite_at_zero_probability() {
        // dL/dp_te = -(ln p + 1) / T, with p held up to 1e-20: -(0 + 1), and -ln 1e-20 = 46.0517
        let device = Device::flex().autodiff();
        let probs = Tensor::<2>::from_floats([[1.0, 0.0]], &device).require_grad();
        let mut r = routing(&[(0, 0)], &[1.0, 0.0], 2, &device);
        r.probs = Some(probs.clone());
        let grad = probs.grad(&entropy(&r).backward()).expect("a gradient");
        let grad: Vec<f32> = crate::to_vec(grad);
        assert_abs_diff_eq!(grad[0], -1.0, epsilon = 1e-6);
        assert_abs_diff_eq!(grad[1], 46.051_7, epsilon = 1e-3);
    }

    #[test]
    fn padding_counts_nothing() {
        let r = routing(&[(0, 0)], &[0.5, 0.5, 1.0, 0.0], 2, &Device::flex())
            .padding(Some([false, true].into()));
        assert_abs_diff_eq!(scalar(entropy(&r)), 2.0f32.ln(), epsilon = 1e-6);
    }
}
