//! Configuration of grouped-query attention.

use burn::config::Config;
use burn::module::Initializer;
use burn::nn::{LinearConfig, RmsNormConfig};
use burn::tensor::Device;

use super::GroupedQueryAttention;
use crate::error::AttentionError;
use crate::rope::RotaryEmbeddingConfig;

/// Configuration to create a [`GroupedQueryAttention`] with
/// [`init`](GroupedQueryAttentionConfig::init).
#[derive(Config, Debug)]
pub struct GroupedQueryAttentionConfig {
    /// The width of the model.
    pub d_model: usize,
    /// The number of query heads.
    pub n_heads: usize,
    /// The number of key/value heads: `n_heads` is multi-head, 1 is multi-query attention.
    pub n_kv_heads: usize,
    /// The width of one head. Defaults to 0, which means `d_model / n_heads`.
    #[config(default = 0)]
    pub head_dim: usize,
    /// The base of the rotary angles. Defaults to 10000.
    #[config(default = 10_000.0)]
    pub rope_theta: f64,
    /// Positions below this have their angles in a table; later ones work, but are computed at
    /// each call. Defaults to 2048.
    #[config(default = 2048)]
    pub max_seq_length: usize,
    /// Number of keys that a query attends: its own and those just before it. Defaults to all. The cache
    /// keeps all tokens all the same.
    #[config(default = "None")]
    pub sliding_window: Option<usize>,
    /// The norm of queries and keys before the rotation. Defaults to none.
    #[config(default = "QkNorm::None")]
    pub qk_norm: QkNorm,
    /// The epsilon of that norm. Defaults to 1e-5.
    #[config(default = 1e-5)]
    pub qk_norm_eps: f64,
    /// The bound that queries and keys, after their norm, and values are clamped to, from both sides: `clip_qkv`
    /// of OLMoE. Defaults to none.
    #[config(default = "None")]
    pub clip_qkv: Option<f64>,
    /// The initializer of the four weights. Defaults to Burn's for linear layers.
    #[config(
        default = "Initializer::KaimingUniform { gain: 1.0 / 3f64.sqrt(), fan_out_only: false }"
    )]
    pub initializer: Initializer,
}

/// Vectors of queries and keys that are divided by their root mean square.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum QkNorm {
    /// None.
    None,
    /// Each head, as in Qwen3.
    Heads,
    /// All heads of a token together, as in OLMoE.
    Width,
}

impl GroupedQueryAttentionConfig {
    /// Creates the layer.
    ///
    /// # Panics
    ///
    /// Panics with the message of [`validate`](Self::validate) where that returns an error.
    pub fn init(&self, device: &Device) -> GroupedQueryAttention {
        if let Err(error) = self.validate() {
            panic!("{error}");
        }
        let head_dim = self.resolved_head_dim();
        let linear = |input, output| {
            LinearConfig::new(input, output)
                .with_bias(false)
                .with_initializer(self.initializer.clone())
                .init(device)
        };
        let norm = |n_heads| {
            let width = self.norm_width(n_heads)?;
            let norm = RmsNormConfig::new(width).with_epsilon(self.qk_norm_eps);
            Some(norm.init(device))
        };
        GroupedQueryAttention {
            query: linear(self.d_model, self.n_heads * head_dim),
            key: linear(self.d_model, self.n_kv_heads * head_dim),
            value: linear(self.d_model, self.n_kv_heads * head_dim),
            output: linear(self.n_heads * head_dim, self.d_model),
            query_norm: norm(self.n_heads),
            key_norm: norm(self.n_kv_heads),
            rope: RotaryEmbeddingConfig::new(head_dim)
                .with_theta(self.rope_theta)
                .with_max_seq_length(self.max_seq_length)
                .init(device),
            n_heads: self.n_heads,
            n_kv_heads: self.n_kv_heads,
            head_dim,
            sliding_window: self.sliding_window,
            clip_qkv: self.clip_qkv,
        }
    }

    /// The width that the norm of queries or keys has with so many heads, if there is one.
    fn norm_width(&self, n_heads: usize) -> Option<usize> {
        match self.qk_norm {
            QkNorm::None => None,
            QkNorm::Heads => Some(self.resolved_head_dim()),
            QkNorm::Width => Some(n_heads * self.resolved_head_dim()),
        }
    }

    /// Checks the sizes against each other.
    ///
    /// # Errors
    ///
    /// Names the size that is zero, the heads that do not divide, the odd head width, or the bound or epsilon that
    /// is not positive.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let sizes = [
            ("d_model", self.d_model),
            ("n_heads", self.n_heads),
            ("n_kv_heads", self.n_kv_heads),
        ];
        let window = self.sliding_window.map(|window| ("sliding_window", window));
        if let Some((name, _)) = sizes.into_iter().chain(window).find(|(_, size)| *size == 0) {
            return Err(AttentionError::Zero(name));
        }
        let (d_model, n_heads, n_kv_heads) = (self.d_model, self.n_heads, self.n_kv_heads);
        if self.head_dim == 0 && !d_model.is_multiple_of(n_heads) {
            return Err(AttentionError::HeadsDoNotDivide { d_model, n_heads });
        }
        if !n_heads.is_multiple_of(n_kv_heads) {
            return Err(AttentionError::KvHeadsDoNotDivide {
                n_heads,
                n_kv_heads,
            });
        }
        let width = self.resolved_head_dim();
        if !width.is_multiple_of(2) {
            return Err(AttentionError::OddHeadDim(width));
        }
        let numbers = [
            ("clip_qkv", self.clip_qkv.unwrap_or(1.0)),
            ("qk_norm_eps", self.qk_norm_eps),
        ];
        match numbers
            .into_iter()
            .find(|(_, number)| number.is_nan() || *number <= 0.0)
        {
            Some((name, _)) => Err(AttentionError::NotPositive(name)),
            None => Ok(()),
        }
    }

    /// The width of one head: `head_dim`, or `d_model / n_heads` where that is 0.
    pub fn resolved_head_dim(&self) -> usize {
        match self.head_dim {
            0 => self.d_model / self.n_heads,
            head_dim => head_dim,
        }
    }

    /// The number of parameters.
    pub fn n_params(&self) -> usize {
        self.n_weights() + self.n_norm_params()
    }

    /// The parameters of the four projections.
    fn n_weights(&self) -> usize {
        2 * self.d_model * (self.n_heads + self.n_kv_heads) * self.resolved_head_dim()
    }

    fn n_norm_params(&self) -> usize {
        let widths = [self.n_heads, self.n_kv_heads].map(|heads| self.norm_width(heads));
        widths.into_iter().flatten().sum()
    }

    /// The bytes that one token adds to a [`KvCache`](crate::KvCache) of elements of `element_bytes` bytes.
    pub fn kv_bytes_per_token(&self, element_bytes: usize) -> usize {
        2 * self.n_kv_heads * self.resolved_head_dim() * element_bytes
    }

    /// The mean FLOP of one token's forward pass in a sequence of `context` tokens.
    ///
    /// One multiply-add counts 2 FLOP. A token attends `(context + 1) / 2` tokens on average, fewer with a
    /// window. Each costs a score and a weighted value, `4 * n_heads * head_dim` FLOP. Softmax, norms and rotation
    /// are not counted.
    pub fn flops_per_token(&self, context: usize) -> u64 {
        // Tokens 1..=w attend 1..=w keys, the others w.
        let window = self.sliding_window.unwrap_or(context).min(context);
        let pairs = window * (window + 1) / 2 + (context - window) * window;
        let scores = 4 * self.n_heads * self.resolved_head_dim() * pairs;
        (2 * self.n_weights() + scores / context.max(1)) as u64
    }
}
