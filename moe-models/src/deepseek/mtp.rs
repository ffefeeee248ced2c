//! Multi-token prediction (DeepSeek-V3, arXiv 2412.19437, section 2.2).

use super::DeepSeekBlock;
use crate::decoder::{TokenContext, Tracer};
use crate::rms_norm::rms_norm;
use burn::module::Module;
use burn::nn::{Linear, RmsNorm};
use burn::tensor::Tensor;
use moe_attention::KvCache;
use moe_experts::profile::{Part, between};
use moe_router::{AnyRouter, Router, Routing};

/// A multi-token prediction module: from the state of token `t` at the depth before and the embedding
/// of token `t + k`, the state that predicts token `t + k + 1` (DeepSeek-V3, arXiv 2412.19437,
/// equations 21 to 23). Embedding and output head are those of the main model.
///
/// Differs from the paper: the embedding is the first half of the projection's input, and the first
/// depth reads the main model's state after its final norm, as the published checkpoint does.
#[derive(Module, Debug)]
pub struct MultiTokenPrediction<R: Router = AnyRouter> {
    /// Normalises the embedding of the token ahead.
    pub embedding_norm: RmsNorm,
    /// Normalises the state of the depth before.
    pub hidden_norm: RmsNorm,
    /// Brings both together, `[2 * d_model, d_model]`, the embedding first.
    pub projection: Linear,
    /// The decoder layer.
    pub block: DeepSeekBlock<R>,
    /// Normalises the output, for the head and for the next depth.
    pub norm: RmsNorm,
}

impl<R: Router> MultiTokenPrediction<R> {
    /// # Shapes
    ///
    /// - embedded: `[B, L, D]`, the embeddings of the tokens ahead
    /// - hidden: `[B, L, D]`, the states of the depth before
    /// - output: `[B, L, D]`
    pub(super) fn forward(
        &self,
        embedded: Tensor<3>,
        hidden: Tensor<3>,
        context: &TokenContext,
        cache: Option<&mut KvCache>,
        routings: &mut Vec<Routing>,
    ) -> Tensor<3> {
        let halves = vec![
            rms_norm(&self.embedding_norm, embedded),
            rms_norm(&self.hidden_norm, hidden),
        ];
        let x = self.projection.forward(Tensor::cat(halves, 2));
        let x = between(Part::Embedding, Part::Norms, x);
        let mut untraced = Tracer::default();
        let x = self
            .block
            .forward(x, context, cache, &mut untraced, routings);
        between(Part::Norms, Part::Head, rms_norm(&self.norm, x))
    }
}
