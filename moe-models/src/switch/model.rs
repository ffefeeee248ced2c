//! The Switch Transformer: an encoder and a decoder with sparse layers.

use super::input::mask;
use super::stack::{StackCall, StackOutput};
use super::{
    Encoded, PaddedTokens, SwitchCache, SwitchInput, SwitchOutput, SwitchStack, SwitchTrace,
};
use crate::DecoderInput;
use crate::decoder::{TokenContext, scores};
use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Bool, Int, Tensor};
use moe_attention::{KeysValues, KvCache};
use moe_router::{AnyRouter, Load, Router};
use std::sync::Arc;

/// An encoder and a decoder with sparse layers in both; generic in the router, with the run-time choice
/// as default.
///
/// Differs from the paper: there is no dropout, neither of layers nor of experts.
#[derive(Module, Debug)]
pub struct Switch<R: Router = AnyRouter> {
    /// The encoder's token embedding, `[vocab_size, d_model]`; the decoder's and the head too, if tied.
    pub embedding: Embedding,
    /// The decoder's token embedding, if it is not the encoder's.
    pub decoder_embedding: Option<Embedding>,
    /// A table that files of untied published models have and nothing reads.
    pub unused_embedding: Option<Embedding>,
    /// The layers that read a text.
    pub encoder: SwitchStack<R>,
    /// The layers that write another.
    pub decoder: SwitchStack<R>,
    /// The output head, `[d_model, vocab_size]`; none if it is the embedding, transposed.
    pub head: Option<Linear>,
    /// Treatment of padding by routers.
    #[module(skip)]
    pub padded_tokens: PaddedTokens,
}

/// Output of the encoder, which the decoder attends beside its own tokens.
struct Memory<'a> {
    layers: &'a [KeysValues],
    mask: Option<Tensor<2, Bool>>,
}

impl<R: Router> Switch<R> {
    /// Applies the forward pass to whole texts and targets.
    ///
    /// # Shapes
    ///
    /// - tokens: `[B, L]`
    /// - decoder_tokens: `[B, M]`
    /// - logits: `[B, M, V]`
    pub fn forward(&self, input: SwitchInput) -> SwitchOutput {
        let SwitchInput { noise, traced, .. } = input;
        let read = |tokens, padding| DecoderInput {
            padding,
            noise,
            traced,
            ..DecoderInput::new(tokens)
        };
        let encoded = self.encode_input(read(input.tokens, input.padding));
        let memory = self.decoder.memory(&encoded.hidden);
        let memory = Memory {
            layers: &memory,
            mask: encoded.mask_pad,
        };
        let written = read(input.decoder_tokens, input.decoder_padding);
        let decoded = self.run_decoder(written, memory, None);
        SwitchOutput {
            logits: self.scores(decoded.hidden),
            encoder_routings: encoded.routings,
            decoder_routings: decoded.routings,
            trace: encoded
                .trace
                .zip(decoded.trace)
                .map(|(encoder, decoder)| SwitchTrace { encoder, decoder }),
        }
    }

    /// Reads texts `[B, L]`, of which the marked tokens `[B * L]` are padding, in evaluation.
    ///
    /// # Panics
    ///
    /// Panics if there is not one mark for each token.
    pub fn encode(&self, tokens: Tensor<2, Int>, padding: Option<Arc<[bool]>>) -> Encoded {
        let input = DecoderInput::new(tokens);
        self.encode_input(match padding {
            Some(padding) => input.padding(padding),
            None => input,
        })
    }

    /// A cache for what is written about encoded texts: what the decoder attends of them is computed
    /// here, once.
    pub fn new_cache(&self, encoded: &Encoded) -> SwitchCache {
        SwitchCache {
            layers: vec![KvCache::default(); self.decoder.layers.len()],
            memory: self.decoder.memory(&encoded.hidden),
            memory_mask: encoded.mask_pad.clone(),
        }
    }

    /// Applies the decoder to the tokens `[B, M]` that follow those in the cache, and adds them to it.
    ///
    /// Where experts have a limited capacity it is that of the call: tokens that come one by one are
    /// never dropped, and those that come together may be.
    ///
    /// # Shapes
    ///
    /// - tokens: `[B, M]`, the new tokens alone
    /// - logits: `[B, M, V]`
    pub fn decode(&self, tokens: Tensor<2, Int>, cache: &mut SwitchCache) -> SwitchOutput {
        let memory = Memory {
            layers: &cache.memory,
            mask: cache.memory_mask.clone(),
        };
        let written = DecoderInput::new(tokens);
        let decoded = self.run_decoder(written, memory, Some(&mut cache.layers));
        SwitchOutput {
            logits: self.scores(decoded.hidden),
            encoder_routings: Vec::new(),
            decoder_routings: decoded.routings,
            trace: None,
        }
    }

    /// Advances the routers' state after an optimizer step, from the load of each sparse layer in the
    /// order of [`SwitchOutput::routings`].
    ///
    /// # Panics
    ///
    /// Panics if there is not one load for each sparse layer.
    pub fn advance_routers(mut self, loads: &[Load]) -> Self {
        let mut loads = loads.iter();
        self.encoder = self.encoder.advance(&mut loads);
        self.decoder = self.decoder.advance(&mut loads);
        assert!(
            loads.next().is_none(),
            "one load for each layer with a router"
        );
        self
    }

    fn encode_input(&self, input: DecoderInput) -> Encoded {
        let mask_pad = mask(input.padding.as_ref(), &input.tokens);
        let call = StackCall {
            tokens: self.token_context(&input, 0),
            mask_pad: mask_pad.clone(),
            memory: &[],
            memory_mask: None,
            cache: None,
            traced: input.traced,
        };
        let output = self
            .encoder
            .forward(self.embedding.forward(input.tokens), call);
        Encoded {
            hidden: output.hidden,
            mask_pad,
            routings: output.routings,
            trace: output.trace,
        }
    }

    fn run_decoder(
        &self,
        input: DecoderInput,
        memory: Memory<'_>,
        cache: Option<&mut [KvCache]>,
    ) -> StackOutput {
        let start = cache.as_ref().map_or(0, |cache| cache[0].len());
        let call = StackCall {
            tokens: self.token_context(&input, start),
            mask_pad: mask(input.padding.as_ref(), &input.tokens),
            memory: memory.layers,
            memory_mask: memory.mask,
            cache,
            traced: input.traced,
        };
        let table = self.decoder_embedding.as_ref().unwrap_or(&self.embedding);
        self.decoder.forward(table.forward(input.tokens), call)
    }

    /// The tokens as routers know them.
    fn token_context(&self, input: &DecoderInput, start: usize) -> TokenContext {
        match self.padded_tokens {
            PaddedTokens::LeftOut => TokenContext::of_rows(input, start),
            PaddedTokens::Routed => {
                let unmarked = DecoderInput {
                    padding: None,
                    ..input.clone()
                };
                TokenContext::of_rows(&unmarked, start)
            }
        }
    }

    /// The scores of the next token; a tied table is scaled down first.
    fn scores(&self, hidden: Tensor<3>) -> Tensor<3> {
        let [_, _, d_model] = hidden.dims();
        let hidden = match self.head {
            Some(_) => hidden,
            None => hidden * (d_model as f64).powf(-0.5),
        };
        scores(hidden, self.head.as_ref(), &self.embedding)
    }
}
