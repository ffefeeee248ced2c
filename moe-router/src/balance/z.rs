//! The router z-loss of ST-MoE (arXiv 2202.08906, equation 5).

use super::without_padding;
use crate::Routing;
use burn::tensor::Tensor;

/// `mean_t (log sum_e exp z_te)^2`: the router z-loss of ST-MoE (Zoph et al. 2022, arXiv 2202.08906,
/// equation 5), which keeps logits small.
///
/// # Shapes
///
/// - output: `[1]`
pub fn z(routing: &Routing) -> Tensor<1> {
    let max_t1 = routing.logits.clone().detach().max_dim(1);
    let sum_t1 = (routing.logits.clone() - max_t1.clone()).exp().sum_dim(1);
    let square_t1 = (sum_t1.log() + max_t1).square();
    without_padding(square_t1, routing).sum() / routing.n_routed_tokens().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn equals_the_closed_form_with_its_gradient() {
        // one token with logits (ln 2, ln 6): logsumexp = ln 8 = 2.0794415, squared 4.3240771;
        // gradient = 2 * logsumexp * softmax = 4.158883 * (0.25, 0.75)
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_floats([[2.0f32.ln(), 6.0f32.ln()]], &device).require_grad();
        let mut r = routing(&[(0, 1)], &[0.25, 0.75], 2, &device);
        r.logits = logits.clone();
        let loss = z(&r);
        assert_abs_diff_eq!(scalar(loss.clone()), 4.324_077, epsilon = 1e-5);
        let grads = loss.backward();
        let expected = TensorData::from([[1.039_720_8f32, 3.119_162_3]]);
        let grad = logits.grad(&grads).expect("a gradient").into_data();
        grad.assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        let device = Device::flex();
        let mut r = routing(&[(0, 0)], &[0.5, 0.5], 2, &device);
        r.logits = Tensor::from_floats([[1000.0, 0.0]], &device);
        assert_eq!(scalar(z(&r)), 1e6);
    }
}
