//! A block of the vision transformer's encoder.

use super::output::Tracer;
use super::{EncoderAttention, EncoderFeedForward};
use burn::module::Module;
use burn::nn::LayerNorm;
use burn::tensor::Tensor;
use moe_experts::profile::{Part, between};
use moe_router::{AnyRouter, Router, RouterInput, Routing};

/// A pre-norm encoder block: `x += attention(norm(x)); x += feed_forward(norm(x))`.
#[derive(Module, Debug)]
pub struct VmoeBlock<R: Router = AnyRouter> {
    /// Normalises the input of the attention.
    pub attention_norm: LayerNorm,
    /// Attention of all tokens to all.
    pub attention: EncoderAttention,
    /// Normalises the input of the feed-forward.
    pub feed_forward_norm: LayerNorm,
    /// A dense feed-forward or a mixture of experts.
    pub feed_forward: EncoderFeedForward<R>,
}

impl<R: Router> VmoeBlock<R> {
    /// Adds attention and feed-forward to the residual stream; returns it with the routing, if there is
    /// one. `routed` adds to a router's input what it may know besides the tokens.
    ///
    /// # Shapes
    ///
    /// - x: `[B, N, D]`
    /// - output: `[B, N, D]`
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        routed: impl Fn(RouterInput) -> RouterInput,
        tracer: &mut Tracer,
    ) -> (Tensor<3>, Option<Routing>) {
        let [batch, n_tokens, d_model] = x.dims();
        let normed = self.attention_norm.forward(x.clone());
        let normed = between(Part::Norms, Part::Attention, normed);
        let attended = self.attention.forward(normed.clone(), normed);
        let x = x + between(Part::Attention, Part::Norms, attended);

        let normed = self.feed_forward_norm.forward(x.clone());
        let x_td = normed.reshape([batch * n_tokens, d_model]);
        let input = routed(RouterInput::new(x_td));
        let (output_td, routing) = self.feed_forward.forward(input);
        let output = output_td.reshape([batch, n_tokens, d_model]);
        if routing.is_some() {
            tracer.mixture(&output);
        }
        let x = x + output;
        tracer.block(&x);
        (x, routing)
    }
}
