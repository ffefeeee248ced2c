//! A decoder of any family.

use super::{Decoder, DecoderCache, DecoderInput, DecoderOutput};
use crate::{DeepSeek, Mixtral};
use burn::module::Module;
use burn::tensor::{Int, Tensor};
use moe_router::Load;

/// A decoder of any family, chosen at run time.
#[derive(Module, Debug)]
pub enum AnyDecoder {
    /// A Mixtral-style decoder.
    Mixtral(Mixtral),
    /// A DeepSeek-style decoder.
    DeepSeek(DeepSeek),
}

/// Calls the same method of whichever family it is.
macro_rules! each {
    ($decoder:expr, $model:ident => $call:expr) => {
        match $decoder {
            AnyDecoder::Mixtral($model) => $call,
            AnyDecoder::DeepSeek($model) => $call,
        }
    };
}

impl Decoder for AnyDecoder {
    fn forward(&self, input: DecoderInput) -> DecoderOutput {
        each!(self, model => model.forward(input))
    }

    fn forward_cache(&self, input: DecoderInput, cache: &mut DecoderCache) -> DecoderOutput {
        each!(self, model => model.forward_cache(input, cache))
    }

    fn draft(
        &self,
        hidden: Tensor<3>,
        next: Tensor<2, Int>,
        cache: &mut DecoderCache,
    ) -> Tensor<3> {
        each!(self, model => model.draft(hidden, next, cache))
    }

    fn new_cache(&self) -> DecoderCache {
        each!(self, model => model.new_cache())
    }

    fn advance_routers(self, loads: &[Load]) -> Self {
        match self {
            Self::Mixtral(model) => Self::Mixtral(model.advance_routers(loads)),
            Self::DeepSeek(model) => Self::DeepSeek(model.advance_routers(loads)),
        }
    }

    fn tokens_compete(&self) -> bool {
        each!(self, model => model.tokens_compete())
    }

    fn n_layers(&self) -> usize {
        each!(self, model => model.n_layers())
    }

    fn n_moe_layers(&self) -> usize {
        each!(self, model => model.n_moe_layers())
    }

    fn n_mtp_layers(&self) -> usize {
        each!(self, model => model.n_mtp_layers())
    }
}
