use super::MixtralBlock;
use super::block::TokenContext;
use crate::{DecoderCache, DecoderInput, DecoderOutput};
use burn::module::Module;
use burn::nn::{Embedding, Linear, RmsNorm};
use moe_router::parts::mix_seed;
use moe_router::{AnyRouter, Load, Router};

/// A decoder-only transformer whose feed-forward layers are mixtures of experts; generic in the
/// router, with the run-time choice as default.
#[derive(Module, Debug)]
pub struct Mixtral<R: Router = AnyRouter> {
    /// The token embedding, `[vocab_size, d_model]`.
    pub embedding: Embedding,
    /// The decoder layers.
    pub layers: Vec<MixtralBlock<R>>,
    /// The final norm.
    pub norm: RmsNorm,
    /// The output head, `[d_model, vocab_size]`.
    pub head: Linear,
}

impl<R: Router> Mixtral<R> {
    /// Applies the forward pass to whole sequences.
    ///
    /// # Shapes
    ///
    /// - tokens: `[B, L]`
    /// - logits: `[B, L, V]`
    pub fn forward(&self, input: DecoderInput) -> DecoderOutput {
        self.run(input, None)
    }

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
    pub fn forward_cache(&self, input: DecoderInput, cache: &mut DecoderCache) -> DecoderOutput {
        assert_eq!(
            cache.layers.len(),
            self.layers.len(),
            "one cache for each layer"
        );
        self.run(input, Some(cache))
    }

    /// Advances the routers' state after an optimizer step, from the load of each layer.
    ///
    /// # Panics
    ///
    /// Panics if there is not one load for each layer.
    pub fn advance_routers(mut self, loads: &[Load]) -> Self {
        assert_eq!(loads.len(), self.layers.len(), "one load for each layer");
        self.layers = self
            .layers
            .into_iter()
            .zip(loads)
            .map(|(mut block, load)| {
                block.moe.router = block.moe.router.advance(load);
                block
            })
            .collect();
        self
    }

    fn run(&self, input: DecoderInput, mut cache: Option<&mut DecoderCache>) -> DecoderOutput {
        let mut context = TokenContext {
            ids: input.token_ids(),
            start: cache.as_ref().map_or(0, |cache| cache.len()),
            noise: None,
        };
        let mut x = self.embedding.forward(input.tokens);
        let mut routings = Vec::with_capacity(self.layers.len());
        for (i, block) in self.layers.iter().enumerate() {
            context.noise = input.noise.map(|seed| mix_seed(seed, i as u64));
            let layer_cache = cache.as_mut().map(|cache| &mut cache.layers[i]);
            let output = block.forward(x, &context, layer_cache);
            x = output.x;
            routings.push(output.routing);
        }
        DecoderOutput {
            logits: self.head.forward(self.norm.forward(x)),
            routings,
        }
    }
}
