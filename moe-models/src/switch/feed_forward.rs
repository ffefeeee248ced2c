//! Feed-forward parts of the Switch Transformer: dense, or sparse.

use crate::decoder::TokenContext;
use burn::module::Module;
use burn::tensor::Tensor;
use moe_experts::profile::{Part, between};
use moe_experts::{Dispatch, Experts, MoeLayer};
use moe_router::parts::mix_seed;
use moe_router::{AnyRouter, Router, RouterInput, Routing};

/// Feed-forward part at the end of a layer.
#[allow(clippy::large_enum_variant)] // a few of them a model, holding weights far larger
#[derive(Module, Debug)]
pub enum SwitchFeedForward<R: Router = AnyRouter> {
    /// One feed-forward that every token passes through: a bank of a single expert.
    Dense(Experts),
    /// A mixture of experts.
    Experts(MoeLayer<R>),
}

impl<R: Router> SwitchFeedForward<R> {
    /// The output, and the routing if there is one. A token that no expert kept gets zeros.
    ///
    /// # Shapes
    ///
    /// - x: `[B, L, D]`
    /// - output: `[B, L, D]`
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        context: &TokenContext,
        input_jitter: f64,
    ) -> (Tensor<3>, Option<Routing>) {
        let shape = x.dims();
        match self {
            Self::Dense(expert) => {
                let [batch, length, d_model] = shape;
                let n_tokens = batch * length;
                let rows = between(Part::Norms, Part::Experts, x.reshape([n_tokens, d_model]));
                let output = expert.forward_rows(rows, &[n_tokens as u32], Dispatch::Grouped);
                let output = between(Part::Experts, Part::Norms, output);
                (output.reshape(shape), None)
            }
            Self::Experts(moe) => {
                let moe = moe.forward_tokens(jittered(context.router_input(x), input_jitter));
                (moe.output.reshape(shape), Some(moe.routing))
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

/// Tokens times U(1 - width, 1 + width) in training, for router and experts alike.
///
/// Differs from the paper (section 2.4 and appendix C), where the noise reaches the router alone: the
/// published code multiplies in place.
fn jittered(input: RouterInput, width: f64) -> RouterInput {
    // apart from the router's own noise
    let seed = input.noise.map(|seed| mix_seed(seed, 0x6a69_7474_6572));
    input.jittered(seed, width)
}
