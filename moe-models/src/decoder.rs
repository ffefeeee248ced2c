//! Parts that all decoders share: inputs, outputs, and the trait between.

mod cache;
mod context;
mod families;
mod head;
mod input;
mod leak;
mod loss;
mod output;

pub use cache::DecoderCache;
pub use families::{AnyDecoder, DecoderConfig};
pub use input::DecoderInput;
pub use loss::token_losses;
pub use output::{DecoderOutput, DecoderTrace};

pub(crate) use context::TokenContext;
pub(crate) use head::{scores, wanted};
pub(crate) use leak::{assert_no_leak, check_leak};
pub(crate) use output::Tracer;

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use moe_router::Load;

/// A decoder-only language model of any family.
pub trait Decoder: Module {
    /// Applies the forward pass to whole sequences.
    ///
    /// # Shapes
    ///
    /// - tokens: `[B, L]`
    /// - logits: `[B, L, V]`
    fn forward(&self, input: DecoderInput) -> DecoderOutput;

    /// Applies the forward pass to the tokens that follow those in the cache, and adds them to it.
    ///
    /// # Shapes
    ///
    /// - tokens: `[B, L]`, the new tokens alone
    /// - logits: `[B, L, V]`
    ///
    /// # Panics
    ///
    /// Panics if the cache has another number of layers than the model.
    fn forward_cache(&self, input: DecoderInput, cache: &mut DecoderCache) -> DecoderOutput;

    /// Scores the token after the next with the first module that predicts further tokens, and adds
    /// the rows to the module's cache.
    ///
    /// # Shapes
    ///
    /// - hidden: `[B, L, D]`, the states that follow the rows in the module's cache
    /// - next: `[B, L]`, the token after each of them
    /// - output: `[B, L, V]`
    ///
    /// # Panics
    ///
    /// Panics if the model has no such module.
    fn draft(
        &self,
        _hidden: Tensor<3>,
        _next: Tensor<2, Int>,
        _cache: &mut DecoderCache,
    ) -> Tensor<3> {
        panic!("this model has no module that predicts further tokens");
    }

    /// An empty cache for this model.
    fn new_cache(&self) -> DecoderCache;

    /// Advances the routers' state after an optimizer step, from the load of each layer in the order
    /// of [`DecoderOutput::routings`].
    ///
    /// # Panics
    ///
    /// Panics if there is not one load for each layer that has a router.
    fn advance_routers(self, loads: &[Load]) -> Self;

    /// Tells whether other tokens of the same call can change what a token gets beyond what attention brings:
    /// they compete for places in the experts of a decoder layer, or a router leaks.
    fn tokens_compete(&self) -> bool;

    /// The number of decoder layers, dense ones included.
    fn n_layers(&self) -> usize;

    /// The number of decoder layers that are mixtures of experts.
    fn n_moe_layers(&self) -> usize;

    /// The number of modules that predict further tokens. Default: none
    fn n_mtp_layers(&self) -> usize {
        0
    }
}
