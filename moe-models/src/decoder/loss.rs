//! Cross entropy of each token.

use crate::cross_entropy;
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
    cross_entropy(logits.reshape([n, vocab_size]), targets.reshape([n]))
}
