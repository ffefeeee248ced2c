//! Feed-forward parts of the vision transformer: dense, or a mixture of experts.

use burn::module::Module;
use burn::tensor::Tensor;
use moe_experts::profile::{Part, between};
use moe_experts::{Dispatch, Experts, MoeLayer};
use moe_router::{AnyRouter, Router, RouterInput, Routing};

/// Feed-forward part of a block: dense, or a mixture of experts.
#[allow(clippy::large_enum_variant)] // a few of them a model, holding weights far larger
#[derive(Module, Debug)]
pub enum EncoderFeedForward<R: Router = AnyRouter> {
    /// One feed-forward that every token passes through: a bank of a single expert.
    Dense(Experts),
    /// A mixture of experts.
    Experts(MoeLayer<R>),
}

impl<R: Router> EncoderFeedForward<R> {
    /// The output, and the routing if there is one.
    ///
    /// # Shapes
    ///
    /// - input: `[T, D]`
    /// - output: `[T, D]`
    pub(super) fn forward(&self, input: RouterInput) -> (Tensor<2>, Option<Routing>) {
        match self {
            Self::Dense(expert) => (dense(expert, input.x_td), None),
            Self::Experts(moe) => {
                let moe = moe.forward_tokens(input);
                (moe.output, Some(moe.routing))
            }
        }
    }
}

/// All rows through a bank of a single expert.
pub(super) fn dense(expert: &Experts, x_td: Tensor<2>) -> Tensor<2> {
    let n_rows = x_td.dims()[0] as u32;
    let x_td = between(Part::Norms, Part::Experts, x_td);
    let output = expert.forward_rows(x_td, &[n_rows], Dispatch::Grouped);
    between(Part::Experts, Part::Norms, output)
}
