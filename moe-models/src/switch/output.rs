//! Outputs of the Switch Transformer and of its encoder.

use crate::DecoderTrace;
use burn::tensor::{Bool, Tensor};
use moe_router::Routing;

/// Output of a [`Switch`](super::Switch) model.
#[derive(Debug, Clone)]
pub struct SwitchOutput {
    /// The scores of the next token at each position of the decoder, `[B, M, V]`.
    pub logits: Tensor<3>,
    /// The routing of each sparse layer of the encoder, tokens `[B * L]`; none if the encoder did not
    /// run.
    pub encoder_routings: Vec<Routing>,
    /// The routing of each sparse layer of the decoder, tokens `[B * M]`.
    pub decoder_routings: Vec<Routing>,
    /// Trace of every layer, if it was asked for.
    pub trace: Option<SwitchTrace>,
}

/// Trace of every layer of both stacks. A decoder layer's attention is that of its own tokens.
#[derive(Debug, Clone)]
pub struct SwitchTrace {
    /// The encoder's layers.
    pub encoder: DecoderTrace,
    /// The decoder's layers.
    pub decoder: DecoderTrace,
}

/// Output of an encoder for a batch of texts.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The states after the final norm, `[B, L, D]`.
    pub hidden: Tensor<3>,
    /// Marks of the tokens that are padding, `[B, L]`.
    pub mask_pad: Option<Tensor<2, Bool>>,
    /// The routing of each sparse layer.
    pub routings: Vec<Routing>,
    /// Trace of every layer, if it was asked for.
    pub trace: Option<DecoderTrace>,
}

impl SwitchOutput {
    /// All routings, the encoder's first.
    pub fn routings(&self) -> impl Iterator<Item = &Routing> {
        self.encoder_routings.iter().chain(&self.decoder_routings)
    }
}
