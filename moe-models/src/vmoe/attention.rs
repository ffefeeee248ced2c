//! Attention without a mask, all tokens to all (Vaswani et al. 2017, arXiv 1706.03762, section 3.2), with
//! biases, and with normalised queries and keys if asked for (Dehghani et al. 2023, arXiv 2302.05442,
//! section 2): `softmax(N(q) N(k)^T / sqrt(d)) v`.

use super::config::{NORM_EPS, linear};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};

/// Configuration to create an [`EncoderAttention`].
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub struct EncoderAttentionConfig {
    /// The width of the tokens.
    pub d_model: usize,
    /// The number of heads, which divides the width.
    pub n_heads: usize,
    /// True if each head's queries and keys pass through a layer norm without a bias. Default: false
    #[config(default = false)]
    pub qk_norm: bool,
}

/// Multi-head attention of an encoder. Should be created with [EncoderAttentionConfig].
#[derive(Module, Debug)]
pub struct EncoderAttention {
    /// The queries' projection, `[d_model, d_model]`.
    pub query: Linear,
    /// The keys' projection, `[d_model, d_model]`.
    pub key: Linear,
    /// The values' projection, `[d_model, d_model]`.
    pub value: Linear,
    /// The projection of all heads together, `[d_model, d_model]`.
    pub output: Linear,
    /// Normalises the queries of each head, `[d_model / n_heads]`.
    pub query_norm: Option<LayerNorm>,
    /// Normalises the keys of each head, `[d_model / n_heads]`.
    pub key_norm: Option<LayerNorm>,
    /// The number of heads.
    pub n_heads: usize,
}

impl EncoderAttentionConfig {
    /// Builds the layer.
    pub fn init(&self, device: &Device) -> EncoderAttention {
        let projection = || linear(self.d_model, self.d_model, device);
        let norm = LayerNormConfig::new(self.head_dim())
            .with_epsilon(NORM_EPS)
            .with_bias(false);
        EncoderAttention {
            query: projection(),
            key: projection(),
            value: projection(),
            output: projection(),
            query_norm: self.qk_norm.then(|| norm.init(device)),
            key_norm: self.qk_norm.then(|| norm.init(device)),
            n_heads: self.n_heads,
        }
    }

    /// The width of a head.
    pub fn head_dim(&self) -> usize {
        self.d_model / self.n_heads
    }

    /// The number of parameters.
    pub fn n_params(&self) -> usize {
        let norms = if self.qk_norm { 2 * self.head_dim() } else { 0 };
        4 * (self.d_model + 1) * self.d_model + norms
    }
}

impl EncoderAttention {
    /// Lets `x` attend all of `memory`.
    ///
    /// # Shapes
    ///
    /// - x: `[B, Q, D]`
    /// - memory: `[B, N, D]`
    /// - output: `[B, Q, D]`
    pub fn forward(&self, x: Tensor<3>, memory: Tensor<3>) -> Tensor<3> {
        let [batch, n_queries, d_model] = x.dims();
        let query = normed(self.heads(self.query.forward(x)), &self.query_norm);
        let key = normed(self.heads(self.key.forward(memory.clone())), &self.key_norm);
        let value = self.heads(self.value.forward(memory));
        let scale = ((d_model / self.n_heads) as f64).sqrt().recip();
        let scores_bhqn = (query * scale).matmul(key.swap_dims(2, 3));
        let output_bhqd = softmax(scores_bhqn, 3).matmul(value);
        let output = output_bhqd
            .swap_dims(1, 2)
            .reshape([batch, n_queries, d_model]);
        self.output.forward(output)
    }

    /// `[B, N, D]` to `[B, heads, N, D / heads]`.
    fn heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, n_tokens, d_model] = x.dims();
        x.reshape([batch, n_tokens, self.n_heads, d_model / self.n_heads])
            .swap_dims(1, 2)
    }
}

fn normed(x: Tensor<4>, norm: &Option<LayerNorm>) -> Tensor<4> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::tensor::{TensorData, Tolerance};

    fn config(qk_norm: bool) -> EncoderAttentionConfig {
        EncoderAttentionConfig::new(4, 2).with_qk_norm(qk_norm)
    }

    #[test]
    fn every_token_sees_every_other() {
        let device = Device::flex();
        let mut attention = config(false).init(&device);
        let eye = || Param::from_tensor(Tensor::eye(4, &device));
        attention.query.weight = Param::from_tensor(Tensor::zeros([4, 4], &device));
        (attention.key.weight, attention.value.weight) = (eye(), eye());
        attention.output.weight = eye();
        let x = Tensor::from_floats([[[1.0, 2.0, 3.0, 4.0], [3.0, 2.0, 1.0, 0.0]]], &device);
        // queries are zero: both tokens get the mean of both
        let expected = TensorData::from([[[2.0f32, 2.0, 2.0, 2.0]; 2]]);
        let output = attention.forward(x.clone(), x).into_data();
        output.assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn norms_are_of_each_head_and_counted() {
        let device = Device::flex();
        for qk_norm in [false, true] {
            let attention = config(qk_norm).init(&device);
            assert_eq!(attention.num_params(), config(qk_norm).n_params());
        }
        // a head of two: its queries and keys become (-1, 1) or (1, -1), whatever their size
        let mut attention = config(true).init(&device);
        let scaled = |by: f64| Param::from_tensor(Tensor::eye(4, &device) * by);
        (attention.query.weight, attention.key.weight) = (scaled(1.0), scaled(1.0));
        let x = Tensor::from_floats([[[1.0, 2.0, 3.0, 1.0], [3.0, 1.0, 1.0, 0.0]]], &device);
        let larger = EncoderAttention {
            query: Linear {
                weight: scaled(50.0),
                bias: attention.query.bias.clone(),
            },
            ..attention.clone()
        };
        let output = attention.forward(x.clone(), x.clone()).into_data();
        let expected = larger.forward(x.clone(), x).into_data();
        output.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-4));
    }
}
