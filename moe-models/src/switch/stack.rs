//! A stack of layers: the encoder or the decoder of the Switch Transformer.

use super::SwitchBlock;
use super::block::{Attended, BlockContext};
use crate::DecoderTrace;
use crate::decoder::{TokenContext, Tracer};
use crate::rms_norm::rms_norm;
use burn::module::Module;
use burn::nn::RmsNorm;
use burn::tensor::{Bool, Tensor};
use moe_attention::{Directions, KeysValues, KvCache, RelativePositionBias, ScoreBias};
use moe_experts::profile::{Part, between};
use moe_router::{AnyRouter, Load, Router, Routing};

/// The layers of an encoder or a decoder.
#[derive(Module, Debug)]
pub struct SwitchStack<R: Router = AnyRouter> {
    /// The relative position bias of all layers.
    pub position_bias: RelativePositionBias,
    /// The layers.
    pub layers: Vec<SwitchBlock<R>>,
    /// The final norm.
    pub norm: RmsNorm,
    /// The number of the first layer, by which noise is drawn.
    pub first_layer: usize,
    /// The width of the noise that multiplies the input of sparse layers in training.
    pub input_jitter: f64,
}

/// Inputs of a stack beside the embedded tokens.
pub(super) struct StackCall<'a> {
    /// The tokens, as routers know them.
    pub(super) tokens: TokenContext,
    /// Marks of the keys that are padding, `[B, S]`.
    pub(super) mask_pad: Option<Tensor<2, Bool>>,
    /// The keys and values of the encoder's tokens for each layer of a decoder, and which are padding.
    pub(super) memory: &'a [KeysValues],
    pub(super) memory_mask: Option<Tensor<2, Bool>>,
    /// Earlier tokens for each layer.
    pub(super) cache: Option<&'a mut [KvCache]>,
    /// True if every layer is traced.
    pub(super) traced: bool,
}

/// Output of a stack.
pub(super) struct StackOutput {
    /// After the final norm, `[B, L, D]`.
    pub(super) hidden: Tensor<3>,
    pub(super) routings: Vec<Routing>,
    pub(super) trace: Option<DecoderTrace>,
}

impl<R: Router> SwitchStack<R> {
    /// Applies the layers and the final norm to embedded tokens `[B, L, D]`.
    pub(super) fn forward(&self, x: Tensor<3>, mut call: StackCall<'_>) -> StackOutput {
        let mut x = between(Part::Embedding, Part::Norms, x);
        let [_, length, _] = x.dims();
        let cached = call.cache.as_ref().map_or(0, |cache| cache[0].len());
        let bias = self.position_bias.forward(length, cached + length);
        let bias = match self.position_bias.directions {
            Directions::Both => ScoreBias::new(bias),
            Directions::Past => ScoreBias::causal(bias),
        };
        let mut context = BlockContext {
            tokens: call.tokens.clone(),
            bias: bias.mask_pad(call.mask_pad),
            memory_bias: ScoreBias::default().mask_pad(call.memory_mask),
            input_jitter: self.input_jitter,
        };
        let mut tracer = Tracer::new(call.traced);
        let mut routings = Vec::new();
        for (i, block) in self.layers.iter().enumerate() {
            context.tokens = call.tokens.of_layer(self.first_layer + i);
            let attended = Attended {
                cache: call.cache.as_mut().map(|cache| &mut cache[i]),
                memory: call.memory.get(i).cloned(),
            };
            let (output, routing) = block.forward(x, &context, attended, &mut tracer);
            x = output;
            routings.extend(routing);
        }
        // an encoder's output goes to the attention of a decoder
        let next = if call.memory.is_empty() {
            Part::Attention
        } else {
            Part::Head
        };
        let hidden = between(Part::Norms, next, rms_norm(&self.norm, x));
        tracer.hidden(&hidden);
        StackOutput {
            hidden,
            routings,
            trace: tracer.finish(),
        }
    }

    /// The keys and values that each layer makes of the encoder's output `[B, S, D]`.
    pub(super) fn memory(&self, encoded: &Tensor<3>) -> Vec<KeysValues> {
        let crosses = self.layers.iter().filter_map(|block| block.cross.as_ref());
        crosses
            .map(|cross| cross.attention.keys_values(encoded.clone()))
            .collect()
    }

    /// The number of sparse layers.
    pub fn n_moe_layers(&self) -> usize {
        let blocks = self.layers.iter();
        blocks
            .filter(|block| block.feed_forward.experts().is_some())
            .count()
    }

    pub(super) fn advance<'a>(mut self, loads: &mut impl Iterator<Item = &'a Load>) -> Self {
        let layers = self.layers.into_iter();
        self.layers = layers.map(|block| block.advance(loads)).collect();
        self
    }
}
