//! Cross entropy of each token.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

/// The negative log-likelihood of each target in nats, `-log p(target)`.
///
/// # Shapes
///
/// - logits: `[B, L, V]`
/// - targets: `[B, L]`
/// - output: `[B * L]`
pub fn token_losses(logits: Tensor<3>, targets: Tensor<2, Int>) -> Tensor<1> {
    let [batch, length, vocab_size] = logits.dims();
    let n = batch * length;
    let log_probs = log_softmax(logits.reshape([n, vocab_size]), 1);
    let of_targets = log_probs.gather(1, targets.reshape([n, 1]));
    of_targets.reshape([n]).neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn a_target_costs_the_negative_logarithm_of_its_probability() {
        let device = Device::flex();
        // probabilities 1/4 and 3/4, then 1/2 and 1/2
        let logits = Tensor::<2>::from_floats([[0.0, 3f32.ln()], [7.0, 7.0]], &device);
        let targets = Tensor::<2, Int>::from_data([[1, 0]], &device);
        let losses = token_losses(logits.unsqueeze(), targets);
        let expected = Tensor::<1>::from_floats([(4f32 / 3.0).ln(), 2f32.ln()], &device);
        let expected = expected.into_data();
        losses
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }
}
