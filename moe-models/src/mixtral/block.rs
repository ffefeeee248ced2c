//! A layer of Mixtral.

use crate::decoder::{TokenContext, Tracer};
use crate::rms_norm::rms_norm;
use burn::module::Module;
use burn::nn::RmsNorm;
use burn::tensor::Tensor;
use moe_attention::{GroupedQueryAttention, KvCache};
use moe_experts::MoeLayer;
use moe_experts::profile::{Part, between};
use moe_router::{AnyRouter, Router, Routing};

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

impl<R: Router> MixtralBlock<R> {
    /// Adds attention and experts to the residual stream; returns it with the routing.
    ///
    /// # Shapes
    ///
    /// - x: `[B, L, D]`
    /// - output: `[B, L, D]`
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        context: &TokenContext,
        cache: Option<&mut KvCache>,
        tracer: &mut Tracer,
    ) -> (Tensor<3>, Routing) {
        tracer.hidden(&x);
        let normed = rms_norm(&self.attention_norm, x.clone());
        let normed = between(Part::Norms, Part::Attention, normed);
        let attended = self
            .attention
            .forward(context.attention_input(normed, cache));
        let attended = between(Part::Attention, Part::Norms, attended);
        tracer.attention(&attended);
        let x = x + attended;

        let normed = rms_norm(&self.moe_norm, x.clone());
        let moe = self.moe.forward_tokens(context.router_input(normed));
        let output = moe.output.reshape(x.dims());
        tracer.feed_forward(&output);
        (x + output, moe.routing)
    }
}
