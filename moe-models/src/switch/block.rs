//! A layer of the Switch Transformer's encoder or decoder.

use super::SwitchFeedForward;
use crate::decoder::{TokenContext, Tracer};
use crate::rms_norm::rms_norm;
use burn::module::Module;
use burn::nn::RmsNorm;
use burn::tensor::Tensor;
use moe_attention::{KeysValues, KvCache, ScoreBias, T5Attention};
use moe_experts::MoeLayer;
use moe_experts::profile::{Part, between};
use moe_router::{AnyRouter, Load, Router, Routing};

/// A pre-norm layer: `x += attention(norm(x))`; in a decoder `x += cross(norm(x))`; `x +=
/// feed_forward(norm(x))`.
#[derive(Module, Debug)]
pub struct SwitchBlock<R: Router = AnyRouter> {
    /// Normalises the input of the attention.
    pub attention_norm: RmsNorm,
    /// The attention of the layer's own tokens.
    pub attention: T5Attention,
    /// The attention of the encoder's tokens, in a decoder.
    pub cross: Option<CrossAttention>,
    /// Normalises the input of the feed-forward.
    pub feed_forward_norm: RmsNorm,
    /// One feed-forward, or a mixture of experts.
    pub feed_forward: SwitchFeedForward<R>,
}

/// Cross-attention of a decoder's layer to the encoder's output.
#[derive(Module, Debug)]
pub struct CrossAttention {
    /// Normalises its input.
    pub norm: RmsNorm,
    /// The attention; its scores have no bias.
    pub attention: T5Attention,
}

/// Context that the layers of a stack share in one call.
pub(super) struct BlockContext {
    /// The tokens, as this layer's router knows them.
    pub(super) tokens: TokenContext,
    /// Bias of the scores of the layer's own tokens.
    pub(super) bias: ScoreBias,
    /// Marks of the encoder's tokens that are hidden.
    pub(super) memory_bias: ScoreBias,
    /// The width of the noise of a sparse layer's input.
    pub(super) input_jitter: f64,
}

/// Keys and values that a layer attends beside its own tokens.
#[derive(Default)]
pub(super) struct Attended<'a> {
    /// Its own earlier tokens, to which the new ones are added.
    pub(super) cache: Option<&'a mut KvCache>,
    /// The encoder's tokens, in a decoder.
    pub(super) memory: Option<KeysValues>,
}

impl<R: Router> SwitchBlock<R> {
    /// Adds attention and feed-forward to the residual stream; returns it with the routing if there is
    /// one.
    ///
    /// # Shapes
    ///
    /// - x: `[B, L, D]`
    /// - output: `[B, L, D]`
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        context: &BlockContext,
        attended: Attended<'_>,
        tracer: &mut Tracer,
    ) -> (Tensor<3>, Option<Routing>) {
        tracer.hidden(&x);
        let normed = rms_norm(&self.attention_norm, x.clone());
        let normed = between(Part::Norms, Part::Attention, normed);
        let kv = self.attention.keys_values(normed.clone());
        let kv = match attended.cache {
            Some(cache) => cache.append(kv),
            None => kv,
        };
        let output = self.attention.attend(normed, kv, &context.bias);
        let output = between(Part::Attention, Part::Norms, output);
        tracer.attention(&output);
        let mut x = x + output;

        if let (Some(cross), Some(memory)) = (&self.cross, attended.memory) {
            let normed = rms_norm(&cross.norm, x.clone());
            let normed = between(Part::Norms, Part::Attention, normed);
            let output = cross.attention.attend(normed, memory, &context.memory_bias);
            x = x + between(Part::Attention, Part::Norms, output);
        }

        let normed = rms_norm(&self.feed_forward_norm, x.clone());
        let (output, routing) =
            self.feed_forward
                .forward(normed, &context.tokens, context.input_jitter);
        tracer.feed_forward(&output);
        (x + output, routing)
    }

    /// Advances the router's state, if the layer has one, by the next load.
    pub(super) fn advance<'a>(mut self, loads: &mut impl Iterator<Item = &'a Load>) -> Self {
        if let SwitchFeedForward::Experts(moe) = self.feed_forward {
            let load = loads.next().expect("one load for each layer with a router");
            let router = moe.router.advance(load);
            self.feed_forward = SwitchFeedForward::Experts(MoeLayer { router, ..moe });
        }
        self
    }
}
