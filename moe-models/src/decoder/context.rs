//! Context of one call of a decoder: positions, padding and cache.

use super::{DecoderCache, DecoderInput};
use burn::tensor::{Bool, Tensor, TensorData};
use moe_attention::{AttentionInput, KvCache, Positions};
use moe_router::RouterInput;
use moe_router::parts::mix_seed;
use std::sync::Arc;

/// Context that the tokens of a call share.
#[derive(Debug, Clone)]
pub(crate) struct TokenContext {
    ids: Arc<[u32]>,
    start: usize,
    noise: Option<u64>,
    padding: Option<Arc<[bool]>>,
    /// `[B, S]`, those in the cache first.
    mask_pad: Option<Tensor<2, Bool>>,
    positions: Option<Positions>,
}

impl TokenContext {
    /// The context of an input that follows the tokens in a cache, whose padding is noted there.
    pub(crate) fn new(input: &DecoderInput, cache: Option<&mut DecoderCache>) -> Self {
        let [batch, length] = input.tokens.dims();
        let (start, marks) = match cache {
            Some(cache) => (
                cache.len(),
                cache.note_padding(batch, length, &input.padding),
            ),
            None => (0, input.padding.clone()),
        };
        let mask_pad = marks.map(|marks| {
            let data = TensorData::new(marks.to_vec(), [batch, start + length]);
            Tensor::from_data(data, &input.tokens.device())
        });
        Self {
            ids: input.token_ids(),
            start,
            noise: input.noise,
            padding: input.padding.clone(),
            mask_pad,
            positions: input.positions.clone(),
        }
    }

    /// The context of rows that follow those in the cache of one module, without padding.
    pub(crate) fn of_rows(input: &DecoderInput, start: usize) -> Self {
        let context = Self::new(input, None);
        Self { start, ..context }
    }

    /// The context of one layer, whose noise is its own.
    pub(crate) fn of_layer(&self, layer: usize) -> Self {
        Self {
            noise: self.noise.map(|seed| mix_seed(seed, layer as u64)),
            ..self.clone()
        }
    }

    /// The normed tokens `[B, L, D]` as attention takes them.
    pub(crate) fn attention_input<'a>(
        &self,
        x: Tensor<3>,
        cache: Option<&'a mut KvCache>,
    ) -> AttentionInput<'a> {
        AttentionInput::new(x)
            .cache(cache)
            .positions(self.positions.clone())
            .mask_pad(self.mask_pad.clone())
    }

    /// The normed tokens `[B, L, D]` as a router takes them.
    pub(crate) fn router_input(&self, x: Tensor<3>) -> RouterInput {
        let [batch, length, d_model] = x.dims();
        let input = RouterInput::new(x.reshape([batch * length, d_model]))
            .groups(batch)
            .token_ids(self.ids.clone())
            .start(self.start)
            .noise(self.noise);
        match &self.padding {
            Some(padding) => input.padding(padding.clone()),
            None => input,
        }
    }
}
