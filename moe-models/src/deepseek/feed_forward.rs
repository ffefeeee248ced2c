//! Feed-forward parts of the DeepSeek family: dense, or a mixture of experts.

use crate::decoder::TokenContext;
use burn::module::Module;
use burn::tensor::Tensor;
use moe_experts::profile::{Part, between};
use moe_experts::{Dispatch, Experts, MoeLayer};
use moe_router::{AnyRouter, Router, Routing};

/// Feed-forward part of a layer: dense, or a mixture of experts.
#[allow(clippy::large_enum_variant)] // a few of them a model, holding weights far larger
#[derive(Module, Debug)]
pub enum FeedForward<R: Router = AnyRouter> {
    /// One feed-forward that every token passes through: a bank of a single expert.
    Dense(Experts),
    /// A mixture of experts.
    Experts(MoeLayer<R>),
}

impl<R: Router> FeedForward<R> {
    /// The output, and the routing if there is one.
    ///
    /// # Shapes
    ///
    /// - x: `[B, L, D]`
    /// - output: `[B, L, D]`
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        context: &TokenContext,
    ) -> (Tensor<3>, Option<Routing>) {
        let [batch, length, d_model] = x.dims();
        match self {
            Self::Dense(expert) => {
                let n_tokens = batch * length;
                let rows = between(Part::Norms, Part::Experts, x.reshape([n_tokens, d_model]));
                let output = expert.forward_rows(rows, &[n_tokens as u32], Dispatch::Grouped);
                let output = between(Part::Experts, Part::Norms, output);
                (output.reshape([batch, length, d_model]), None)
            }
            Self::Experts(moe) => {
                let moe = moe.forward_tokens(context.router_input(x));
                let output = moe.output.reshape([batch, length, d_model]);
                (output, Some(moe.routing))
            }
        }
    }

    /// The mixture of experts, if it is one.
    pub fn experts(&self) -> Option<&MoeLayer<R>> {
        match self {
            Self::Dense(_) => None,
            Self::Experts(moe) => Some(moe),
        }
    }
}
