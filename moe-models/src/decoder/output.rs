use burn::tensor::Tensor;
use moe_router::Routing;

/// What a decoder returns.
#[derive(Debug, Clone)]
pub struct DecoderOutput {
    /// The scores of the next token at each position, `[B, L, V]`.
    pub logits: Tensor<3>,
    /// The routing of each MoE layer, tokens `[B * L]`.
    pub routings: Vec<Routing>,
    /// What every layer computed, if it was asked for.
    pub trace: Option<DecoderTrace>,
}

/// What every layer computed: all quantities by which two implementations of a decoder are compared
/// beside the routings and the logits.
#[derive(Debug, Clone, Default)]
pub struct DecoderTrace {
    /// The residual stream `[B, L, D]` before each layer, and last of all after the final norm: one
    /// more than there are layers. The output of the last layer before the norm is not kept.
    pub hidden: Vec<Tensor<3>>,
    /// What each layer's attention adds to the stream, `[B, L, D]`.
    pub attention: Vec<Tensor<3>>,
    /// What each layer's feed-forward or mixture of experts adds, `[B, L, D]`.
    pub feed_forward: Vec<Tensor<3>>,
}

/// Fills a [`DecoderTrace`] while a model runs, if it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Tracer(Option<DecoderTrace>);

impl Tracer {
    pub(crate) fn new(traced: bool) -> Self {
        Self(traced.then(DecoderTrace::default))
    }

    pub(crate) fn hidden(&mut self, x: &Tensor<3>) {
        if let Some(trace) = &mut self.0 {
            trace.hidden.push(x.clone());
        }
    }

    pub(crate) fn attention(&mut self, x: &Tensor<3>) {
        if let Some(trace) = &mut self.0 {
            trace.attention.push(x.clone());
        }
    }

    pub(crate) fn feed_forward(&mut self, x: &Tensor<3>) {
        if let Some(trace) = &mut self.0 {
            trace.feed_forward.push(x.clone());
        }
    }

    pub(crate) fn finish(self) -> Option<DecoderTrace> {
        self.0
    }
}
