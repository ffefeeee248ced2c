//! A layer of a DeepSeek decoder.

use super::{DeepSeekAttention, FeedForward};
use crate::decoder::{TokenContext, Tracer};
use crate::rms_norm::rms_norm;
use burn::module::Module;
use burn::nn::RmsNorm;
use burn::tensor::Tensor;
use moe_attention::KvCache;
use moe_experts::profile::{Part, between};
use moe_router::{AnyRouter, Load, Router, Routing};

/// A pre-norm decoder layer: `x += attention(norm(x)); x += feed_forward(norm(x))`.
#[derive(Module, Debug)]
pub struct DeepSeekBlock<R: Router = AnyRouter> {
    /// Normalises the input of the attention.
    pub attention_norm: RmsNorm,
    /// The attention.
    pub attention: DeepSeekAttention,
    /// Normalises the input of the feed-forward.
    pub feed_forward_norm: RmsNorm,
    /// One feed-forward, or a mixture of experts.
    pub feed_forward: FeedForward<R>,
}

impl<R: Router> DeepSeekBlock<R> {
    /// Adds attention and feed-forward to the residual stream, and pushes the routing if there is one.
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
        routings: &mut Vec<Routing>,
    ) -> Tensor<3> {
        tracer.hidden(&x);
        let normed = rms_norm(&self.attention_norm, x.clone());
        let normed = between(Part::Norms, Part::Attention, normed);
        let attended = self
            .attention
            .forward(context.attention_input(normed, cache));
        let attended = between(Part::Attention, Part::Norms, attended);
        tracer.attention(&attended);
        let x = x + attended;

        let normed = rms_norm(&self.feed_forward_norm, x.clone());
        let (output, routing) = self.feed_forward.forward(normed, context);
        tracer.feed_forward(&output);
        routings.extend(routing);
        x + output
    }

    /// Advances the router's state, if the layer has one, by the next load.
    pub(super) fn advance<'a>(mut self, loads: &mut impl Iterator<Item = &'a Load>) -> Self {
        if let FeedForward::Experts(moe) = self.feed_forward {
            let load = loads.next().expect("one load for each layer with a router");
            let router = moe.router.advance(load);
            self.feed_forward = FeedForward::Experts(moe_experts::MoeLayer { router, ..moe });
        }
        self
    }
}
