use super::{Decoder, DecoderCache, DecoderInput, DecoderOutput};
use crate::Mixtral;
use burn::module::Module;
use moe_router::Load;

/// A decoder of any family, chosen at run time.
#[derive(Module, Debug)]
pub enum AnyDecoder {
    /// A Mixtral-style decoder.
    Mixtral(Mixtral),
}

impl Decoder for AnyDecoder {
    fn forward(&self, input: DecoderInput) -> DecoderOutput {
        match self {
            Self::Mixtral(model) => model.forward(input),
        }
    }

    fn forward_cache(&self, input: DecoderInput, cache: &mut DecoderCache) -> DecoderOutput {
        match self {
            Self::Mixtral(model) => model.forward_cache(input, cache),
        }
    }

    fn new_cache(&self) -> DecoderCache {
        match self {
            Self::Mixtral(model) => model.new_cache(),
        }
    }

    fn advance_routers(self, loads: &[Load]) -> Self {
        match self {
            Self::Mixtral(model) => Self::Mixtral(model.advance_routers(loads)),
        }
    }

    fn n_layers(&self) -> usize {
        match self {
            Self::Mixtral(model) => model.n_layers(),
        }
    }

    fn n_moe_layers(&self) -> usize {
        match self {
            Self::Mixtral(model) => model.n_moe_layers(),
        }
    }
}
