//! The DeepSeek decoder, with modules that predict further tokens.

use super::{DeepSeekBlock, MultiTokenPrediction};
use crate::decoder::{Decoder, TokenContext, Tracer, scores, wanted};
use crate::rms_norm::rms_norm;
use crate::{DecoderCache, DecoderInput, DecoderOutput};
use burn::module::Module;
use burn::nn::{Embedding, Linear, RmsNorm};
use burn::tensor::{Int, Tensor};
use moe_experts::profile::{Part, between};
use moe_router::{AnyRouter, Load, Router, Routing};

/// A decoder-only transformer of dense layers first and mixtures of experts after them, with modules
/// that predict further tokens; generic in the router, with the run-time choice as default.
#[derive(Module, Debug)]
pub struct DeepSeek<R: Router = AnyRouter> {
    /// The token embedding, `[vocab_size, d_model]`.
    pub embedding: Embedding,
    /// The decoder layers.
    pub layers: Vec<DeepSeekBlock<R>>,
    /// The final norm.
    pub norm: RmsNorm,
    /// The output head, `[d_model, vocab_size]`; none if it is the embedding, transposed.
    pub head: Option<Linear>,
    /// The modules that predict further tokens, nearest first.
    pub mtp: Vec<MultiTokenPrediction<R>>,
}

impl<R: Router> DeepSeek<R> {
    fn run(&self, input: DecoderInput, mut cache: Option<&mut DecoderCache>) -> DecoderOutput {
        let context = TokenContext::new(&input, cache.as_deref_mut());
        let mut tracer = Tracer::new(input.traced);
        let mut routings = Vec::new();
        let x = self.embedding.forward(input.tokens.clone());
        let mut x = between(Part::Embedding, Part::Norms, x);
        for (i, block) in self.layers.iter().enumerate() {
            let cache = cache.as_mut().map(|cache| &mut cache.layers[i]);
            let context = context.of_layer(i);
            x = block.forward(x, &context, cache, &mut tracer, &mut routings);
        }
        let hidden = between(Part::Norms, Part::Head, rms_norm(&self.norm, x));
        tracer.hidden(&hidden);
        let further = if input.further {
            self.further(&input, hidden.clone(), &mut tracer, &mut routings)
        } else {
            Vec::new()
        };
        DecoderOutput {
            logits: self.logits(wanted(hidden.clone(), input.last_only)),
            hidden,
            further,
            routings,
            trace: tracer.finish(),
        }
    }

    /// The scores of each depth: at depth `k`, row `t` scores token `t + k + 1`, for the `L - k` rows
    /// whose token `t + k` is in the input.
    fn further(
        &self,
        input: &DecoderInput,
        mut hidden: Tensor<3>,
        tracer: &mut Tracer,
        routings: &mut Vec<Routing>,
    ) -> Vec<Tensor<3>> {
        let [_, length] = input.tokens.dims();
        let mut all = Vec::with_capacity(self.mtp.len());
        for (i, module) in self.mtp.iter().enumerate().take(length.saturating_sub(1)) {
            let depth = i + 1;
            let ahead = input.ahead(depth);
            let context = TokenContext::new(&ahead, None).of_layer(self.layers.len() + i);
            let embedded = self.embedding.forward(ahead.tokens);
            let known = hidden.narrow(1, 0, length - depth);
            hidden = module.forward(embedded, known, &context, None, routings);
            tracer.further(&hidden);
            all.push(self.logits(hidden.clone()));
        }
        all
    }

    fn logits(&self, x: Tensor<3>) -> Tensor<3> {
        scores(x, self.head.as_ref(), &self.embedding)
    }
}

impl<R: Router> Decoder for DeepSeek<R> {
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

    fn draft(
        &self,
        hidden: Tensor<3>,
        next: Tensor<2, Int>,
        cache: &mut DecoderCache,
    ) -> Tensor<3> {
        let module = self.mtp.first().expect("a module that predicts further");
        let cache = cache.mtp.first_mut().expect("one cache for each module");
        let input = DecoderInput::new(next);
        let context = TokenContext::of_rows(&input, cache.len());
        let embedded = self.embedding.forward(input.tokens);
        let mut routings = Vec::new();
        let hidden = module.forward(embedded, hidden, &context, Some(cache), &mut routings);
        self.logits(hidden)
    }

    fn new_cache(&self) -> DecoderCache {
        DecoderCache::new(self.layers.len()).with_mtp(self.mtp.len())
    }

    fn advance_routers(mut self, loads: &[Load]) -> Self {
        let mut loads = loads.iter();
        let layers = self.layers.into_iter();
        self.layers = layers.map(|block| block.advance(&mut loads)).collect();
        let modules = self.mtp.into_iter();
        self.mtp = modules
            .map(|module| MultiTokenPrediction {
                block: module.block.advance(&mut loads),
                ..module
            })
            .collect();
        assert!(
            loads.next().is_none(),
            "one load for each layer with a router"
        );
        self
    }

    fn tokens_compete(&self) -> bool {
        let mut experts = self.layers.iter().filter_map(|b| b.feed_forward.experts());
        experts.any(|moe| moe.router.competes() || !moe.router.causality().is_causal())
    }

    fn n_layers(&self) -> usize {
        self.layers.len()
    }

    fn n_moe_layers(&self) -> usize {
        let blocks = self.layers.iter();
        blocks
            .filter(|b| b.feed_forward.experts().is_some())
            .count()
    }

    fn n_mtp_layers(&self) -> usize {
        self.mtp.len()
    }
}
