//! Outputs of some routers besides their plan.

use burn::tensor::{DType, Tensor};
use std::sync::Arc;

/// Noisy scores `H = z + noise * std` (Shazeer et al. 2017, arXiv 1701.06538, equation 4).
#[derive(Debug, Clone)]
pub struct NoisyLogits {
    /// The noisy scores that decided, `[T, E]`.
    pub logits: Tensor<2>,
    /// The standard deviation of the noise, `[T, E]`.
    pub std: Tensor<2>,
}

/// Zero-computation experts, the last of a routing (Jin et al. 2024, arXiv 2410.07348): each adds a share
/// of the token, or of a vector of its own. The router says how much of what, and the layer adds it up.
/// Assignments to them count in losses and metrics as any other.
#[derive(Debug, Clone)]
pub struct Bypass {
    /// Number of zero-computation experts.
    pub n_free: usize,
    /// Share of itself that each token gets, weights included, `[T, 1]`.
    pub of_token: Tensor<2>,
    /// Contribution of constant experts, if there are any.
    pub of_vectors: Option<VectorMix>,
    /// Weight of a zero-computation expert in the loss [`heterogeneous`](crate::balance::heterogeneous()).
    pub tau: f64,
}

/// Shares of each vector that each token gets.
#[derive(Debug, Clone)]
pub struct VectorMix {
    /// The weight of each of `V` vectors for each token, `[T, V]`.
    pub weights: Tensor<2>,
    /// The vectors, `[V, D]`.
    pub vectors: Tensor<2>,
}

impl Bypass {
    /// Adds up what the zero-computation experts give to the tokens, in f32.
    ///
    /// # Shapes
    ///
    /// - x: `[T, D]`
    /// - output: `[T, D]`
    pub fn output(&self, x_td: Tensor<2>) -> Tensor<2> {
        let output_td = x_td.cast(DType::F32) * self.of_token.clone();
        match &self.of_vectors {
            Some(mix) => output_td + mix.weights.clone().matmul(mix.vectors.clone()),
            None => output_td,
        }
    }
}

/// Admission decisions, made by comparison with later tokens, and the predictor's scores, made without them
/// (Raposo et al. 2024, arXiv 2404.02258, section 3.5).
#[derive(Debug, Clone)]
pub struct Admission {
    /// The predictor's logits, `[T]`: a token is admitted if its logit is positive.
    pub predicted: Tensor<1>,
    /// Mask of the admitted tokens, `[T]`.
    pub admitted: Arc<[bool]>,
}
