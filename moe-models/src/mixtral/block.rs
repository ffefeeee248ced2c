use burn::module::Module;
use burn::nn::RmsNorm;
use burn::tensor::Tensor;
use moe_attention::{GroupedQueryAttention, KvCache};
use moe_experts::MoeLayer;
use moe_router::{AnyRouter, Router, RouterInput, Routing};
use std::sync::Arc;

/// A pre-norm decoder layer: `x += attention(norm(x)); x += moe(norm(x))`.
#[derive(Module, Debug)]
pub struct MixtralBlock<R: Router = AnyRouter> {
    /// Normalises the input of the attention.
    pub attention_norm: RmsNorm,
    /// Grouped-query attention with rotary positions.
    pub attention: GroupedQueryAttention,
    /// Normalises the input of the experts.
    pub moe_norm: RmsNorm,
    /// The mixture of experts.
    pub moe: MoeLayer<R>,
}

/// What the tokens of a call have in common.
#[derive(Debug, Clone)]
pub(super) struct TokenContext {
    pub(super) ids: Arc<[u32]>,
    pub(super) start: usize,
    pub(super) noise: Option<u64>,
}

/// What a block returns.
pub(super) struct BlockOutput {
    pub(super) x: Tensor<3>,
    pub(super) routing: Routing,
}

impl<R: Router> MixtralBlock<R> {
    /// # Shapes
    ///
    /// - x: `[B, L, D]`
    /// - output: `[B, L, D]`
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        context: &TokenContext,
        cache: Option<&mut KvCache>,
    ) -> BlockOutput {
        let normed = self.attention_norm.forward(x.clone());
        let attended = match cache {
            Some(cache) => self.attention.forward_cache(normed, cache),
            None => self.attention.forward(normed),
        };
        let x = x + attended;

        let [batch, length, d_model] = x.dims();
        let tokens = self
            .moe_norm
            .forward(x.clone())
            .reshape([batch * length, d_model]);
        let input = RouterInput::new(tokens)
            .groups(batch)
            .token_ids(context.ids.clone())
            .start(context.start)
            .noise(context.noise);
        let moe = self.moe.forward(input);
        BlockOutput {
            x: x + moe.output.reshape([batch, length, d_model]),
            routing: moe.routing,
        }
    }
}
