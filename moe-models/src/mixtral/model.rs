//! The Mixtral decoder.

use super::MixtralBlock;
use crate::decoder::{Decoder, TokenContext, Tracer, scores, wanted};
use crate::rms_norm::rms_norm;
use crate::{DecoderCache, DecoderInput, DecoderOutput};
use burn::module::Module;
use burn::nn::{Embedding, Linear, RmsNorm};
use moe_experts::profile::{Part, between};
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
    /// The output head, `[d_model, vocab_size]`; none if it is the embedding, transposed.
    pub head: Option<Linear>,
}

impl<R: Router> Mixtral<R> {
    fn run(&self, input: DecoderInput, mut cache: Option<&mut DecoderCache>) -> DecoderOutput {
        let context = TokenContext::new(&input, cache.as_deref_mut());
        let mut tracer = Tracer::new(input.traced);
        let x = self.embedding.forward(input.tokens);
        let mut x = between(Part::Embedding, Part::Norms, x);
        let mut routings = Vec::with_capacity(self.layers.len());
        for (i, block) in self.layers.iter().enumerate() {
            let layer_cache = cache.as_mut().map(|cache| &mut cache.layers[i]);
            let (output, routing) =
                block.forward(x, &context.of_layer(i), layer_cache, &mut tracer);
            x = output;
            routings.push(routing);
        }
        let hidden = between(Part::Norms, Part::Head, rms_norm(&self.norm, x));
        tracer.hidden(&hidden);
        DecoderOutput {
            logits: scores(
                wanted(hidden.clone(), input.last_only),
                self.head.as_ref(),
                &self.embedding,
            ),
            hidden,
            further: Vec::new(),
            routings,
            trace: tracer.finish(),
        }
    }
}

impl<R: Router> Decoder for Mixtral<R> {
    fn forward(&self, input: DecoderInput) -> DecoderOutput {
        self.run(input, None)
    }

    fn forward_cache(&self, input: DecoderInput, cache: &mut DecoderCache) -> DecoderOutput {
        assert_eq!(
            cache.layers.len(),
            self.layers.len(),
            "one cache for each layer"
        );
        self.run(input, Some(cache))
    }

    fn new_cache(&self) -> DecoderCache {
        DecoderCache::new(self.layers.len())
    }

    fn advance_routers(mut self, loads: &[Load]) -> Self {
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

    fn tokens_compete(&self) -> bool {
        let mut routers = self.layers.iter().map(|block| &block.moe.router);
        routers.any(|router| router.competes() || !router.causality().is_causal())
    }

    fn n_layers(&self) -> usize {
        self.layers.len()
    }

    fn n_moe_layers(&self) -> usize {
        self.layers.len()
    }
}

#[cfg(test)]
mod tests {
    use crate::MixtralConfig;
    use burn::tensor::Device;
    use moe_attention::GroupedQueryAttentionConfig;
    use moe_experts::MoeLayerConfig;
    use moe_router::RouterConfig;

    #[test]
    fn display_shows_every_part() {
        let device = Device::flex();
        let attention = GroupedQueryAttentionConfig::new(8, 2, 1);
        let config = MixtralConfig::new(16, 1, attention, MoeLayerConfig::new(8, 4, 6));
        let router = RouterConfig::mixtral(2);
        let shown = config
            .init(|shape| router.init(shape, &device), &device)
            .to_string();
        for part in [
            "Mixtral {",
            "embedding: Embedding {",
            "MixtralBlock {",
            "attention: GroupedQueryAttention {d_model: 8,",
            "MixtralRouter {",
            "experts: Experts {n_experts: 4,",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}
