//! Attention pooling of the tokens of an image (MAP head).

use super::feed_forward::dense;
use super::{EncoderAttention, VmoeConfig};
use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm};
use burn::tensor::{Device, Tensor};
use moe_experts::Experts;

/// One vector of an image by attention: a learned probe attends all tokens, and a feed-forward follows (Zhai
/// et al. 2022, arXiv 2106.04560, section 3.4): `y = attention(probe, x)`, `y + mlp(norm(y))`.
#[derive(Module, Debug)]
pub struct AttentionPooling {
    /// Query of the pooling, `[1, 1, d_model]`.
    pub probe: Param<Tensor<3>>,
    /// The probe's attention to the tokens.
    pub attention: EncoderAttention,
    /// Normalises the input of the feed-forward.
    pub norm: LayerNorm,
    /// The feed-forward: a bank of a single expert.
    pub feed_forward: Experts,
}

impl AttentionPooling {
    pub(super) fn new(config: &VmoeConfig, device: &Device) -> Self {
        let d_model = config.d_model();
        let std = 1.0 / (d_model as f64).sqrt();
        Self {
            probe: Initializer::Normal { mean: 0.0, std }.init([1, 1, d_model], device),
            attention: config.attention().init(device),
            norm: config.norm().init(device),
            feed_forward: config.dense().init(device),
        }
    }

    /// Applies the forward pass.
    ///
    /// # Shapes
    ///
    /// - x: `[B, N, D]`
    /// - output: `[B, D]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let [batch, _, d_model] = x.dims();
        let probe = self.probe.val().expand([batch, 1, d_model]);
        let x_bd = self.attention.forward(probe, x).reshape([batch, d_model]);
        let normed_bd = self.norm.forward(x_bd.clone());
        x_bd + dense(&self.feed_forward, normed_bd)
    }
}
