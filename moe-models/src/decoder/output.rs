//! Outputs of decoders.

use super::token_losses;
use burn::tensor::{Int, Tensor};
use moe_router::Routing;

/// Output of a decoder.
#[derive(Debug, Clone)]
pub struct DecoderOutput {
    /// The scores of the next token at each position, `[B, L, V]`.
    pub logits: Tensor<3>,
    /// The state after the final norm, `[B, L, D]`.
    pub hidden: Tensor<3>,
    /// The scores of each module that predicts further tokens, if they were asked for: at depth
    /// `k = 1, 2, ...`, `[B, L - k, V]`, row `t` for token `t + k + 1`.
    pub further: Vec<Tensor<3>>,
    /// The routing of each MoE layer, tokens `[B * L]`; then that of each module that predicted
    /// further tokens, `[B * (L - k)]`.
    pub routings: Vec<Routing>,
    /// Trace of every layer, if it was asked for.
    pub trace: Option<DecoderTrace>,
}

/// Trace of every layer: all quantities by which two implementations of a decoder are compared
/// beside the routings and the logits.
#[derive(Debug, Clone, Default)]
pub struct DecoderTrace {
    /// The residual stream `[B, L, D]` before each layer, and last of all after the final norm: one
    /// more than there are layers. The output of the last layer before the norm is not kept.
    pub hidden: Vec<Tensor<3>>,
    /// Output of each layer's attention, which is added to the stream, `[B, L, D]`.
    pub attention: Vec<Tensor<3>>,
    /// Output of each layer's feed-forward or mixture of experts, `[B, L, D]`.
    pub feed_forward: Vec<Tensor<3>>,
    /// The state of each module that predicted further tokens after its norm, `[B, L - k, D]`.
    pub further: Vec<Tensor<3>>,
}

impl DecoderOutput {
    /// The loss of the modules that predict further tokens: the mean over depths of the mean
    /// cross-entropy of a depth's rows (DeepSeek-V3, arXiv 2412.19437, equations 24 and 25, without
    /// the weight lambda). None if no such module ran.
    ///
    /// Differs from the paper: a depth is divided by its own number of rows and not by the sequence's.
    ///
    /// # Shapes
    ///
    /// - targets: `[B, L]`, the token after each of the input
    /// - output: `[1]`
    pub fn further_loss(&self, targets: &Tensor<2, Int>) -> Option<Tensor<1>> {
        let depths = self.further.iter().enumerate();
        let losses = depths.filter(|(_, logits)| logits.dims()[1] > 0);
        let losses = losses.map(|(i, logits)| {
            let [_, rows, _] = logits.dims();
            token_losses(logits.clone(), targets.clone().narrow(1, i + 1, rows)).mean()
        });
        let sum = losses.reduce(|sum, loss| sum + loss)?;
        Some(sum / self.further.len() as f64)
    }
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

    pub(crate) fn further(&mut self, x: &Tensor<3>) {
        if let Some(trace) = &mut self.0 {
            trace.further.push(x.clone());
        }
    }

    pub(crate) fn finish(self) -> Option<DecoderTrace> {
        self.0
    }
}
