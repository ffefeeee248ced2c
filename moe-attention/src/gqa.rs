//! Grouped-query attention, Ainslie et al., arXiv 2305.13245, with rotary positions, as in
//! Mixtral (arXiv 2401.04088) and DeepSeekMoE (arXiv 2401.06066).
//!
//! ```text
//! q = rope(x Wq), k = rope(x Wk), v = x Wv          per head, widths H*Dh, Hkv*Dh, Hkv*Dh
//! y = concat_h softmax(q_h k_j^T / sqrt(Dh)) v_j Wo    j = h / (H / Hkv), causal
//! ```
//!
//! Queries and keys may be normalised before the rotation: over all heads together, as in OLMoE
//! (arXiv 2409.02060), or head by head, as in Qwen3 (arXiv 2505.09388, section 2).

mod config;

pub use config::{GroupedQueryAttentionConfig, QkNorm};

use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::nn::{Linear, RmsNorm};
use burn::tensor::{Bool, Tensor, assert_shape};

use crate::cache::KeysValues;
use crate::causal::{CausalOptions, causal_attention};
use crate::input::AttentionInput;
use crate::positions::Positions;
use crate::projection::project;
use crate::rope::RotaryEmbedding;

/// Causal self-attention in which groups of query heads share one key/value head.
///
/// # Params
///
/// - query: [`Linear`] of `d_model` to `n_heads * head_dim`, no bias
/// - key, value: [`Linear`] of `d_model` to `n_kv_heads * head_dim`, no bias
/// - output: [`Linear`] of `n_heads * head_dim` to `d_model`, no bias
/// - query_norm, key_norm: [`RmsNorm`] of one head or of all, if queries and keys are normalised
///
/// Created with [`GroupedQueryAttentionConfig`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct GroupedQueryAttention {
    /// The projection to queries.
    pub query: Linear,
    /// The projection to keys.
    pub key: Linear,
    /// The projection to values.
    pub value: Linear,
    /// The projection of the concatenated heads.
    pub output: Linear,
    /// The norm of the queries, of the width of a head or of all heads.
    pub query_norm: Option<RmsNorm>,
    /// The norm of the keys.
    pub key_norm: Option<RmsNorm>,
    /// The rotary positions of queries and keys.
    pub rope: RotaryEmbedding,
    /// The number of query heads.
    pub n_heads: usize,
    /// The number of key/value heads.
    pub n_kv_heads: usize,
    /// The width of one head.
    pub head_dim: usize,
    /// Number of keys that a query attends.
    #[module(skip)]
    pub sliding_window: Option<usize>,
    /// The bound of queries, keys and values.
    #[module(skip)]
    pub clip_qkv: Option<f64>,
}

/// Queries, keys and values split into heads, positions applied.
struct Heads {
    query: Tensor<4>,
    kv: KeysValues,
}

impl GroupedQueryAttention {
    /// Applies causal attention.
    ///
    /// # Shapes
    ///
    /// - x: `[batch_size, seq_length, d_model]`
    /// - output: `[batch_size, seq_length, d_model]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `d_model`, or if the cache, the positions or the mask
    /// do not fit `x`.
    pub fn forward<'a>(&self, input: impl Into<AttentionInput<'a>>) -> Tensor<3> {
        let input = input.into();
        let positions = input.resolved_positions();
        let heads = self.project(input.x, &positions);
        let kv = match input.cache {
            Some(cache) => cache.append(heads.kv),
            None => heads.kv,
        };
        self.attend(heads.query, kv, input.mask_pad)
    }

    fn project(&self, x: Tensor<3>, positions: &Positions) -> Heads {
        let [d_model, _] = self.query.weight.dims();
        assert_shape!(x, [_, _, d_model]);
        let [batch, length, _] = x.dims();
        // One matrix of all tokens: faster than a product for each sequence.
        let tokens = x.reshape([batch * length, d_model]);
        let split = |x: Tensor<2>, n| x.reshape([batch, length, n, self.head_dim]).swap_dims(1, 2);
        let query = project(&self.query, tokens.clone());
        let query = split(self.clipped(normed(&self.query_norm, query)), self.n_heads);
        let keys = project(&self.key, tokens.clone());
        let keys = split(self.clipped(normed(&self.key_norm, keys)), self.n_kv_heads);
        let values = split(self.clipped(project(&self.value, tokens)), self.n_kv_heads);
        Heads {
            query: self.rope.forward(query, positions.clone()),
            kv: KeysValues {
                keys: self.rope.forward(keys, positions.clone()),
                values,
            },
        }
    }

    fn clipped(&self, x: Tensor<2>) -> Tensor<2> {
        match self.clip_qkv {
            None => x,
            Some(bound) => x.clamp(-bound, bound),
        }
    }

    fn attend(
        &self,
        query: Tensor<4>,
        kv: KeysValues,
        mask_pad: Option<Tensor<2, Bool>>,
    ) -> Tensor<3> {
        let [batch, n_heads, length, head_dim] = query.dims();
        let options = CausalOptions::new((head_dim as f64).sqrt().recip())
            .window(self.sliding_window)
            .mask_pad(mask_pad);
        let out = causal_attention(query, kv.keys, kv.values, options).swap_dims(1, 2);
        let out = project(
            &self.output,
            out.reshape([batch * length, n_heads * head_dim]),
        );
        let [_, d_model] = out.dims();
        out.reshape([batch, length, d_model])
    }
}

/// Normalises rows of heads `[tokens, heads * head_dim]`, each vector of the norm's width apart.
fn normed(norm: &Option<RmsNorm>, x: Tensor<2>) -> Tensor<2> {
    let Some(norm) = norm else { return x };
    let [tokens, width] = x.dims();
    let [normed] = norm.gamma.dims();
    let vectors = x.reshape([tokens, width / normed, normed]);
    norm.forward(vectors).reshape([tokens, width])
}

impl ModuleDisplay for GroupedQueryAttention {
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
            .add("n_kv_heads", &self.n_kv_heads)
            .add("head_dim", &self.head_dim)
            .optional()
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::KvCache;
    use crate::error::AttentionError;
    use crate::testing::{assert_close, assert_same, values};

    fn config() -> GroupedQueryAttentionConfig {
        GroupedQueryAttentionConfig::new(24, 6, 2)
    }

    #[test]
    fn head_dim_is_derived_or_given() {
        assert_eq!(config().resolved_head_dim(), 4);
        assert_eq!(config().with_head_dim(10).resolved_head_dim(), 10);
    }

    #[test]
    fn validate_names_the_fault() {
        assert_eq!(config().validate(), Ok(()));
        assert_eq!(
            GroupedQueryAttentionConfig::new(24, 0, 2).validate(),
            Err(AttentionError::Zero("n_heads"))
        );
        assert_eq!(
            GroupedQueryAttentionConfig::new(24, 5, 5).validate(),
            Err(AttentionError::HeadsDoNotDivide {
                d_model: 24,
                n_heads: 5
            })
        );
        assert_eq!(
            GroupedQueryAttentionConfig::new(24, 5, 5)
                .with_head_dim(8)
                .validate(),
            Ok(())
        );
        assert_eq!(
            GroupedQueryAttentionConfig::new(24, 6, 4).validate(),
            Err(AttentionError::KvHeadsDoNotDivide {
                n_heads: 6,
                n_kv_heads: 4
            })
        );
        assert_eq!(
            config().with_sliding_window(Some(0)).validate(),
            Err(AttentionError::Zero("sliding_window"))
        );
        assert_eq!(
            GroupedQueryAttentionConfig::new(24, 8, 4).validate(),
            Err(AttentionError::OddHeadDim(3))
        );
    }

    #[test]
    #[should_panic(expected = "`n_kv_heads` = 4 does not divide `n_heads` = 6")]
    fn init_refuses_what_validate_refuses() {
        GroupedQueryAttentionConfig::new(24, 6, 4).init(&Device::flex());
    }

    #[test]
    fn counts_equal_the_layer() {
        let config = config();
        let layer = config.init(&Device::flex());
        // Query and output 24 x 24, key and value 24 x 8.
        assert_eq!(config.n_params(), 2 * 24 * 24 + 2 * 24 * 8);
        assert_eq!(layer.num_params(), config.n_params());

        let mut cache = KvCache::new();
        let x = values([1, 5, 24], 1, &Device::flex());
        layer.forward(AttentionInput::new(x).cache(&mut cache));
        assert_eq!(config.kv_bytes_per_token(4), 64);
        assert_eq!(cache.bytes(), 5 * 64);

        // 3 tokens attend 1, 2 and 3, 2 on average: 2 * 1536 for the weights, 6 heads of width 4,
        // 2 FLOP, scores and values: 6 * 4 * 2 * 2 * 2 = 192.
        assert_eq!(config.flops_per_token(3), 2 * 1536 + 192);
    }

    #[test]
    fn equals_multi_head_with_repeated_weights() {
        let device = Device::flex();
        let grouped = config().init(&device);
        let mut full = GroupedQueryAttentionConfig::new(24, 6, 6).init(&device);
        let repeated = |weight: &Param<Tensor<2>>| {
            let weight = weight.val().reshape([24, 2, 1, 4]).repeat_dim(2, 3);
            Param::from_tensor(weight.reshape([24, 24]))
        };
        full.query = grouped.query.clone();
        full.output = grouped.output.clone();
        full.key.weight = repeated(&grouped.key.weight);
        full.value.weight = repeated(&grouped.value.weight);
        let x = values([2, 9, 24], 1, &device);
        assert_close(grouped.forward(x.clone()), full.forward(x), 1e-5);
    }

    #[test]
    fn decoding_equals_prefill_however_it_is_split() {
        let device = Device::flex();
        let layer = config().with_max_seq_length(8).init(&device);
        let x = values([2, 13, 24], 1, &device);
        let expected = layer.forward(x.clone());
        for split in [
            vec![13],
            vec![1; 13],
            vec![7, 1, 1, 4],
            vec![1, 12],
            vec![12, 1],
        ] {
            let mut cache = KvCache::new();
            let parts = split.into_iter().map(|n| {
                let start = cache.len();
                let x = x.clone().narrow(1, start, n);
                layer.forward(AttentionInput::new(x).cache(&mut cache))
            });
            let parts: Vec<_> = parts.collect();
            assert_close(Tensor::cat(parts, 1), expected.clone(), 1e-5);
        }
    }

    #[test]
    fn later_tokens_leave_earlier_outputs_alone() {
        let device = Device::flex();
        let layer = config().init(&device);
        let x = values([2, 80, 24], 1, &device);
        let changed = x
            .clone()
            .slice_assign([0..2, 50..80, 0..24], values([2, 30, 24], 2, &device));
        let (before, after) = (layer.forward(x), layer.forward(changed));
        assert_same(after.narrow(1, 0, 50), before.narrow(1, 0, 50));
    }

    /// Three sequences of 7, 4 and 5 tokens, in rows of 7 with padding at the left.
    fn left_padding(device: &Device) -> Tensor<2, Bool> {
        let mask = (0..3).flat_map(|b| (0..7).map(move |t| t < [0, 3, 2][b]));
        Tensor::from_data(TensorData::new(mask.collect::<Vec<_>>(), [3, 7]), device)
    }

    #[test]
    fn left_padding_changes_nothing() {
        let device = Device::flex();
        let x = values([3, 7, 24], 1, &device);
        let mask = left_padding(&device);
        for window in [None, Some(3)] {
            let layer = config().with_sliding_window(window).init(&device);
            let mut cache = KvCache::new();
            // A prefill of 6 tokens, of which the second sequence has 3, and one of 1.
            let outputs = [(0, 6), (6, 1)].map(|(start, length)| {
                let mask = mask.clone().narrow(1, 0, start + length);
                let input = AttentionInput::new(x.clone().narrow(1, start, length))
                    .cache(&mut cache)
                    .positions(Positions::of_padded(mask.clone(), length))
                    .mask_pad(mask);
                layer.forward(input)
            });
            let outputs = Tensor::cat(outputs.to_vec(), 1);
            for (b, pad) in [0, 3, 2].into_iter().enumerate() {
                let part = |x: &Tensor<3>| x.clone().narrow(0, b, 1).narrow(1, pad, 7 - pad);
                assert_close(part(&outputs), layer.forward(part(&x)), 1e-5);
            }
            assert!(!outputs.is_nan().any().into_scalar::<bool>());
        }
    }

    #[test]
    fn a_window_hides_older_tokens() {
        let device = Device::flex();
        let layer = config().with_sliding_window(Some(4)).init(&device);
        let x = values([1, 12, 24], 1, &device);
        let out = layer.forward(x.clone());
        // Token 11 sees tokens 8..=11 at whatever positions, and is changed by token 8.
        let recent = |from: usize| layer.forward(x.clone().narrow(1, from, 12 - from));
        assert_close(
            out.clone().narrow(1, 11, 1),
            recent(8).narrow(1, 3, 1),
            1e-5,
        );
        let fewer = (recent(9).narrow(1, 2, 1) - out.narrow(1, 11, 1)).abs();
        assert!(fewer.max().into_scalar::<f32>() > 1e-4);
    }

    #[test]
    fn head_dim_may_differ_from_the_share_of_the_model() {
        let device = Device::flex();
        let config = config().with_head_dim(10);
        let layer = config.init(&device);
        assert_eq!(layer.query.weight.dims(), [24, 60]);
        assert_eq!(layer.num_params(), config.n_params());
        let out = layer.forward(values([2, 5, 24], 1, &device));
        assert_eq!(out.dims(), [2, 5, 24]);
    }

    /// Divides each `width` numbers of a row by the root of their mean square.
    fn by_hand(x: Tensor<3>, width: usize, gamma: &[f32]) -> Vec<f32> {
        let x: Vec<f32> = x.into_data().try_to_vec().unwrap();
        let vector = |vector: &[f32]| {
            let mean = vector.iter().map(|x| x * x).sum::<f32>() / width as f32;
            let scale = (mean + 1e-5).sqrt().recip();
            let pairs = vector.iter().zip(gamma);
            pairs.map(|(x, g)| x * scale * g).collect::<Vec<_>>()
        };
        x.chunks(width).flat_map(vector).collect()
    }

    #[test]
    fn queries_and_keys_are_normed_by_head_or_over_all_heads() {
        let device = Device::flex();
        for (kind, query_width, key_width) in [(QkNorm::Heads, 4, 4), (QkNorm::Width, 24, 8)] {
            let config = config().with_qk_norm(kind);
            let mut layer = config.init(&device);
            // 6 query heads and 2 key heads of width 4
            assert_eq!(config.n_params(), 1536 + query_width + key_width);
            assert_eq!(layer.num_params(), config.n_params());
            let gamma = |width| values([1, 1, width], 3, &device).reshape([width]);
            let query_gamma = gamma(query_width);
            let norm = layer.query_norm.as_mut().unwrap();
            norm.gamma = Param::from_tensor(query_gamma.clone());

            let x = values([2, 5, 24], 1, &device);
            let heads = layer.project(x.clone(), &Positions::From(0));
            let plain = layer.query.forward(x);
            let query_gamma: Vec<f32> = query_gamma.into_data().try_to_vec().unwrap();
            let expected = by_hand(plain, query_width, &query_gamma);
            let expected = Tensor::<1>::from_floats(expected.as_slice(), &device)
                .reshape([2, 5, 6, 4])
                .swap_dims(1, 2);
            let expected = layer.rope.forward(expected, Positions::From(0));
            assert_close(
                heads.query.reshape([2, 30, 4]),
                expected.reshape([2, 30, 4]),
                1e-5,
            );
        }
    }

    #[test]
    fn queries_keys_and_values_are_clipped_after_their_norm() {
        let device = Device::flex();
        let config = config()
            .with_qk_norm(QkNorm::Heads)
            .with_clip_qkv(Some(0.5));
        let layer = config.init(&device);
        let x = values([1, 1, 24], 1, &device) * 9.0;
        // the first position is not turned
        let heads = layer.project(x, &Positions::From(0));
        for tensor in [heads.query, heads.kv.keys, heads.kv.values] {
            assert_eq!(tensor.abs().max().into_scalar::<f32>(), 0.5);
        }
        let zero = config.with_clip_qkv(Some(0.0)).validate();
        assert_eq!(zero, Err(AttentionError::NotPositive("clip_qkv")));
    }

    #[test]
    fn windows_save_flops() {
        // 4 tokens with a window of 2 attend 1, 2, 2 and 2: 7 of 4 * 6 * 4 FLOP over 4 tokens.
        let config = config().with_sliding_window(Some(2));
        assert_eq!(config.flops_per_token(4), 2 * 1536 + 96 * 7 / 4);
    }

    #[test]
    fn batch_neighbours_do_not_matter() {
        let device = Device::flex();
        let layer = config().init(&device);
        let x = values([3, 20, 24], 1, &device);
        let changed = x
            .clone()
            .slice_assign([1..3, 0..20, 0..24], values([2, 20, 24], 2, &device));
        let (before, after) = (layer.forward(x), layer.forward(changed));
        assert_same(after.narrow(0, 0, 1), before.narrow(0, 0, 1));
    }

    #[test]
    fn every_weight_gets_a_gradient() {
        let device = Device::flex().autodiff();
        let layer = config().init(&device);
        let grads = layer
            .forward(values([2, 9, 24], 1, &device))
            .powi_scalar(2)
            .sum()
            .backward();
        for linear in [&layer.query, &layer.key, &layer.value, &layer.output] {
            let grad = linear.weight.grad(&grads).expect("the weight took part");
            assert!(grad.abs().max().into_scalar::<f32>() > 1e-4);
        }
    }

    #[test]
    fn the_validation_copy_of_a_training_layer_runs_without_autodiff() {
        let layer = config().init(&Device::flex().autodiff());
        let x = values([2, 5, 24], 1, &Device::flex());
        let expected = layer.forward(x.clone().autodiff()).inner();
        assert_same(layer.valid().forward(x), expected);
    }

    #[test]
    fn display() {
        assert_eq!(
            config().init(&Device::flex()).to_string(),
            "GroupedQueryAttention {d_model: 24, n_heads: 6, n_kv_heads: 2, head_dim: 4, params: 1536}"
        );
    }

    #[test]
    #[should_panic(expected = "axis 2 expected 24, got 20")]
    fn width_must_be_d_model() {
        let device = Device::flex();
        let _ = config()
            .init(&device)
            .forward(Tensor::zeros([1, 2, 20], &device));
    }
}
