//! Multi-head attention as in T5 (Raffel et al., arXiv 1910.10683, section 2.1): scores are not divided
//! by the root of the width, and a bias is added to them.
//!
//! ```text
//! y = concat_h softmax(q_h k_h^T + bias_h) v_h Wo     q = x Wq, k = m Wk, v = m Wv
//! ```
//!
//! `m` is `x` itself, or what an encoder made of another text.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Initializer, Module, ModuleDisplay};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, assert_shape};

use crate::cache::KeysValues;
use crate::error::AttentionError;
use crate::projection::project;

/// Configuration to create a [`T5Attention`] with [`init`](T5AttentionConfig::init).
#[derive(Config, Debug)]
pub struct T5AttentionConfig {
    /// The width of the model.
    pub d_model: usize,
    /// The number of heads.
    pub n_heads: usize,
    /// The width of one head; all heads together need not be as wide as the model.
    pub head_dim: usize,
    /// The initializer of the four weights. Defaults to Burn's for linear layers.
    #[config(
        default = "Initializer::KaimingUniform { gain: 1.0 / 3f64.sqrt(), fan_out_only: false }"
    )]
    pub initializer: Initializer,
}

/// Attention without a scale, over keys and values that the caller holds.
///
/// # Params
///
/// - query, key, value: [`Linear`] of `d_model` to `n_heads * head_dim`, no bias
/// - output: [`Linear`] of `n_heads * head_dim` to `d_model`, no bias
///
/// Created with [`T5AttentionConfig`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct T5Attention {
    /// The projection to queries.
    pub query: Linear,
    /// The projection to keys.
    pub key: Linear,
    /// The projection to values.
    pub value: Linear,
    /// The projection of the concatenated heads.
    pub output: Linear,
    /// The number of heads.
    pub n_heads: usize,
    /// The width of one head.
    pub head_dim: usize,
}

/// Bias and mask of the attention scores. The default adds nothing and hides nothing.
#[derive(Debug, Clone, Default)]
pub struct ScoreBias {
    /// `[1, n_heads, seq_length, key_length]`
    bias: Option<Tensor<4>>,
    /// `[batch_size, 1, 1, key_length]`
    hidden: Option<Tensor<4, Bool>>,
}

impl ScoreBias {
    /// Adds a bias `[1, n_heads, seq_length, key_length]` to the scores of all sequences.
    pub fn new(bias: Tensor<4>) -> Self {
        Self {
            bias: Some(bias),
            hidden: None,
        }
    }

    /// As [`new`](Self::new), and hides from each query the keys after its own; the queries are the last
    /// of the keys.
    pub fn causal(bias: Tensor<4>) -> Self {
        let [_, heads, length, keys] = bias.dims();
        let before = keys as i64 - length as i64;
        let hidden = Tensor::<2, Bool>::tril_mask([length, keys], before, &bias.device());
        let hidden = hidden.unsqueeze::<4>().expand([1, heads, length, keys]);
        let lowest = lowest(&bias);
        Self::new(bias.mask_fill(hidden, lowest))
    }

    /// Hides the keys `[batch_size, key_length]` where the mask is true. A query that has no other key
    /// attends all alike.
    pub fn mask_pad(mut self, mask: Option<Tensor<2, Bool>>) -> Self {
        self.hidden = mask.map(|mask| {
            let [batch, keys] = mask.dims();
            mask.reshape([batch, 1, 1, keys])
        });
        self
    }

    fn apply(&self, mut scores: Tensor<4>) -> Tensor<4> {
        if let Some(bias) = &self.bias {
            let [_, heads, length, keys] = scores.dims();
            assert_shape!(bias, [1, heads, length, keys]);
            scores = scores + bias.clone();
        }
        if let Some(hidden) = &self.hidden {
            let lowest = lowest(&scores);
            let shape = scores.dims();
            assert_shape!(hidden, [shape[0], 1, 1, shape[3]]);
            scores = scores.mask_fill(hidden.clone().expand(shape), lowest);
        }
        scores
    }
}

/// The lowest number of the tensor's type: finite, so that a row of it has no NaN.
fn lowest(scores: &Tensor<4>) -> f64 {
    scores.dtype().finfo().expect("scores are floats").min
}

impl T5AttentionConfig {
    /// Creates the layer.
    ///
    /// # Panics
    ///
    /// Panics with the message of [`validate`](Self::validate) where that returns an error.
    pub fn init(&self, device: &Device) -> T5Attention {
        if let Err(error) = self.validate() {
            panic!("{error}");
        }
        let linear = |input, output| {
            LinearConfig::new(input, output)
                .with_bias(false)
                .with_initializer(self.initializer.clone())
                .init(device)
        };
        let inner = self.n_heads * self.head_dim;
        T5Attention {
            query: linear(self.d_model, inner),
            key: linear(self.d_model, inner),
            value: linear(self.d_model, inner),
            output: linear(inner, self.d_model),
            n_heads: self.n_heads,
            head_dim: self.head_dim,
        }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    ///
    /// Names the size that is zero.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let sizes = [
            ("d_model", self.d_model),
            ("n_heads", self.n_heads),
            ("head_dim", self.head_dim),
        ];
        match sizes.into_iter().find(|(_, size)| *size == 0) {
            Some((name, _)) => Err(AttentionError::Zero(name)),
            None => Ok(()),
        }
    }

    /// The number of parameters.
    pub fn n_params(&self) -> usize {
        4 * self.d_model * self.n_heads * self.head_dim
    }

    /// FLOP of one token's scores and weighted values over `keys` keys, forward; a multiply-add counts 2.
    pub fn score_flops(&self, keys: f64) -> f64 {
        4.0 * (self.n_heads * self.head_dim) as f64 * keys
    }
}

impl T5Attention {
    /// The keys and values of tokens.
    ///
    /// # Shapes
    ///
    /// - x: `[batch_size, key_length, d_model]`
    /// - output: `[batch_size, n_heads, key_length, head_dim]`, twice
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `d_model`.
    pub fn keys_values(&self, x: Tensor<3>) -> KeysValues {
        KeysValues {
            keys: self.heads(&self.key, x.clone()),
            values: self.heads(&self.value, x),
        }
    }

    /// Lets tokens attend keys and values.
    ///
    /// # Shapes
    ///
    /// - x: `[batch_size, seq_length, d_model]`
    /// - kv: `[batch_size, n_heads, key_length, head_dim]`, twice
    /// - output: `[batch_size, seq_length, d_model]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes disagree.
    pub fn attend(&self, x: Tensor<3>, kv: KeysValues, bias: &ScoreBias) -> Tensor<3> {
        let [batch, length, d_model] = x.dims();
        assert_shape!(&kv.keys, [batch, self.n_heads, _, self.head_dim]);
        let query = self.heads(&self.query, x);
        let scores = bias.apply(query.matmul(kv.keys.swap_dims(2, 3)));
        let out = softmax(scores, 3).matmul(kv.values).swap_dims(1, 2);
        let rows = out.reshape([batch * length, self.n_heads * self.head_dim]);
        project(&self.output, rows).reshape([batch, length, d_model])
    }

    /// Projects tokens and splits them into heads.
    fn heads(&self, projection: &Linear, x: Tensor<3>) -> Tensor<4> {
        let [d_model, _] = projection.weight.dims();
        assert_shape!(x, [_, _, d_model]);
        let [batch, length, _] = x.dims();
        // one matrix of all tokens: faster than a product for each sequence
        let rows = project(projection, x.reshape([batch * length, d_model]));
        rows.reshape([batch, length, self.n_heads, self.head_dim])
            .swap_dims(1, 2)
    }
}

impl ModuleDisplay for T5Attention {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [d_model, _] = self.query.weight.dims();
        content
            .add("d_model", &d_model)
            .add("n_heads", &self.n_heads)
            .add("head_dim", &self.head_dim)
            .optional()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KvCache;
    use crate::testing::{assert_close, assert_same, values};
    use burn::module::Param;

    fn layer() -> T5Attention {
        T5AttentionConfig::new(6, 2, 4).init(&Device::flex())
    }

    #[test]
    fn two_keys_by_hand() {
        // one head of width 1, all projections 1: q = x, k = v = m
        let device = Device::flex();
        let mut layer = T5AttentionConfig::new(1, 1, 1).init(&device);
        for linear in [
            &mut layer.query,
            &mut layer.key,
            &mut layer.value,
            &mut layer.output,
        ] {
            linear.weight = Param::from_tensor(Tensor::ones([1, 1], &device));
        }
        let tensor = |x: [f32; 2]| Tensor::<1>::from_floats(x, &device).reshape([1, 2, 1]);
        let kv = layer.keys_values(tensor([1.0, 3.0]));
        // the second token is 0, so its scores are the bias, ln 3 and 0: (3 * 1 + 1 * 3) / 4 = 1.5
        let bias = Tensor::<1>::from_floats([0.0, 0.0, 3f32.ln(), 0.0], &device);
        let bias = bias.reshape([1, 1, 2, 2]);
        let x = tensor([0.0, 0.0]);
        let out = layer.attend(x.clone(), kv.clone(), &ScoreBias::new(bias.clone()));
        assert_close(out, tensor([2.0, 1.5]), 1e-6);
        // causal: the first token sees the first key alone
        let out = layer.attend(x.clone(), kv.clone(), &ScoreBias::causal(bias.clone()));
        assert_close(out, tensor([1.0, 1.5]), 1e-6);
        // the first key is padding: the first token sees none, and attends both alike
        let mask = Tensor::<2, Bool>::from_data([[true, false]], &device);
        let causal = ScoreBias::causal(bias).mask_pad(Some(mask));
        assert_close(layer.attend(x, kv, &causal), tensor([2.0, 3.0]), 1e-6);
    }

    #[test]
    fn a_cache_gives_the_last_row_of_the_whole() {
        let (layer, device) = (layer(), Device::flex());
        let x = values([2, 5, 6], 1, &device);
        let bias = values([1, 2, 5, 5], 2, &device);
        let whole = layer.attend(
            x.clone(),
            layer.keys_values(x.clone()),
            &ScoreBias::causal(bias.clone()),
        );
        let mut cache = KvCache::new();
        let first = x.clone().narrow(1, 0, 4);
        cache.append(layer.keys_values(first));
        let last = x.narrow(1, 4, 1);
        let kv = cache.append(layer.keys_values(last.clone()));
        let bias = ScoreBias::causal(bias.narrow(2, 4, 1));
        assert_close(layer.attend(last, kv, &bias), whole.narrow(1, 4, 1), 1e-6);
    }

    #[test]
    fn hidden_keys_do_not_matter() {
        let (layer, device) = (layer(), Device::flex());
        let x = values([1, 3, 6], 1, &device);
        let memory = values([1, 4, 6], 2, &device);
        let other = Tensor::cat(
            vec![
                memory.clone().narrow(1, 0, 3),
                values([1, 1, 6], 3, &device),
            ],
            1,
        );
        let mask = Tensor::<2, Bool>::from_data([[false, false, false, true]], &device);
        let bias = ScoreBias::default().mask_pad(Some(mask));
        let attend = |m: Tensor<3>| layer.attend(x.clone(), layer.keys_values(m), &bias);
        assert_same(attend(memory), attend(other));
    }

    #[test]
    #[should_panic(expected = "axis 3 expected 3, got 4")]
    fn a_bias_must_fit() {
        let (layer, device) = (layer(), Device::flex());
        let x = values([1, 3, 6], 1, &device);
        let bias = ScoreBias::new(values([1, 2, 3, 4], 2, &device));
        let _ = layer.attend(x.clone(), layer.keys_values(x), &bias);
    }

    #[test]
    fn counts_and_display() {
        let config = T5AttentionConfig::new(6, 2, 4);
        assert_eq!(layer().num_params(), config.n_params());
        let headless = T5AttentionConfig {
            n_heads: 0,
            ..config
        };
        assert_eq!(headless.validate(), Err(AttentionError::Zero("n_heads")));
        assert_eq!(
            format!("{}", layer()),
            "T5Attention {d_model: 6, n_heads: 2, head_dim: 4, params: 192}"
        );
    }
}
