//! Multi-head latent attention, DeepSeek-V2, arXiv 2405.04434, equations 37 to 47.
//!
//! ```text
//! c  = norm(x W_kv_a)  [R]        k_pe = rope(x W_kv_a')  one for all heads
//! q_h = [q_nope_h | rope(q_pe_h)] of x W_q, or of norm(x W_q_a) W_q_b
//! [k_nope_h | v_h] = c W_kv_b,h   k_h = [k_nope_h | k_pe]
//! y = concat_h softmax(scale q_h k_h^T) v_h W_o
//!
//! absorbed:   q_nope_h k_nope_h^T = (q_nope_h W_k_h^T) c^T     p_h v_h = (p_h c) W_v_h
//! ```

use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::nn::{Linear, RmsNorm};
use burn::tensor::{Tensor, assert_shape};

use super::{LatentForm, LatentWork};
use crate::causal::{CausalOptions, causal_attention};
use crate::input::AttentionInput;
use crate::positions::Positions;
use crate::projection::project;
use crate::rope::RotaryEmbedding;

/// Causal self-attention whose keys and values are made from one narrow latent a token, which is
/// all that a cache keeps.
///
/// # Params
///
/// R is `kv_lora_rank`, N, P and V are the widths of a head without position, with position and of
/// a value.
///
/// - q_a_proj, q_a_layernorm: [`Linear`] of `d_model` to `q_lora_rank` and its [`RmsNorm`], if queries have a
///   latent
/// - q_b_proj: [`Linear`] of `q_lora_rank` or `d_model` to `n_heads * (N + P)`
/// - kv_a_proj_with_mqa: [`Linear`] of `d_model` to `R + P`
/// - kv_a_layernorm: [`RmsNorm`] of width R
/// - kv_b_proj: [`Linear`] of R to `n_heads * (N + V)`
/// - o_proj: [`Linear`] of `n_heads * V` to `d_model`
///
/// Created with [`MultiHeadLatentAttentionConfig`](super::MultiHeadLatentAttentionConfig).
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct MultiHeadLatentAttention {
    /// The projection to the latent of queries.
    pub q_a_proj: Option<Linear>,
    /// Normalises the latent of queries.
    pub q_a_layernorm: Option<RmsNorm>,
    /// The projection to queries, of their latent or of the input: published as `q_proj` then.
    pub q_b_proj: Linear,
    /// The projection to the latent of keys and values, and to the key that all heads share.
    pub kv_a_proj_with_mqa: Linear,
    /// Normalises the latent of keys and values.
    pub kv_a_layernorm: RmsNorm,
    /// The projection of the latent to the keys without position and the values of all heads.
    pub kv_b_proj: Linear,
    /// The projection of the concatenated heads.
    pub o_proj: Linear,
    /// The rotary positions of queries and of the shared key.
    pub rope: RotaryEmbedding,
    /// The order of the products.
    #[module(skip)]
    pub form: LatentForm,
    /// The factor of the scores.
    #[module(skip)]
    pub scale: f64,
    /// The number of heads.
    pub n_heads: usize,
    /// The width of the part of a query or key that has no position.
    pub qk_nope_head_dim: usize,
    /// The width of the part of a query or key that has one.
    pub qk_rope_head_dim: usize,
    /// The width of a value.
    pub v_head_dim: usize,
}

/// The queries of all heads.
struct Queries {
    /// `[B,H,L,N]`
    nope: Tensor<4>,
    /// `[B,H,L,P]`, rotated
    rope: Tensor<4>,
}

impl MultiHeadLatentAttention {
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
        let [d_model, _] = self.kv_a_proj_with_mqa.weight.dims();
        let x = input.x.clone();
        assert_shape!(x, [_, _, d_model]);
        let positions = input.resolved_positions();
        let queries = self.queries(x.clone(), &positions);
        let latents = self.latents(x, &positions);
        let latents = match input.cache {
            Some(cache) => cache.append_latent(latents),
            None => latents,
        };
        let options = CausalOptions::new(self.scale).mask_pad(input.mask_pad);
        let [batch, _, length, _] = queries.nope.dims();
        let heads = match self.resolved_form(length, latents.dims()[2]) {
            LatentForm::Absorbed => self.absorbed(queries, latents, options),
            _ => self.materialised(queries, latents, options),
        };
        project(&self.o_proj, heads).reshape([batch, length, d_model])
    }

    fn resolved_form(&self, queries: usize, keys: usize) -> LatentForm {
        let rank = self.rank();
        let work = LatentWork {
            rank,
            up: self.qk_nope_head_dim + self.v_head_dim,
            materialised_pair: self.qk_nope_head_dim + self.qk_rope_head_dim + self.v_head_dim,
            absorbed_pair: 2 * rank + self.qk_rope_head_dim,
        };
        self.form.resolved(&work, queries, keys)
    }

    /// The width of a latent.
    fn rank(&self) -> usize {
        let [rank] = self.kv_a_layernorm.gamma.dims();
        rank
    }

    fn queries(&self, x: Tensor<3>, positions: &Positions) -> Queries {
        let [batch, length, d_model] = x.dims();
        // One matrix of all tokens: faster than a product for each sequence.
        let mut tokens = x.reshape([batch * length, d_model]);
        if let Some(down) = &self.q_a_proj {
            tokens = project(down, tokens);
        }
        if let Some(norm) = &self.q_a_layernorm {
            tokens = norm.forward(tokens);
        }
        let (nope, rope) = (self.qk_nope_head_dim, self.qk_rope_head_dim);
        let query = project(&self.q_b_proj, tokens)
            .reshape([batch, length, self.n_heads, nope + rope])
            .swap_dims(1, 2);
        let turned = query.clone().narrow(3, nope, rope);
        Queries {
            nope: query.narrow(3, 0, nope),
            rope: self.rope.forward(turned, positions.clone()),
        }
    }

    /// The latent and the rotated shared key of each token side by side, `[B,1,L,R+P]`.
    fn latents(&self, x: Tensor<3>, positions: &Positions) -> Tensor<4> {
        let [batch, length, d_model] = x.dims();
        let (rank, rope) = (self.rank(), self.qk_rope_head_dim);
        let tokens = x.reshape([batch * length, d_model]);
        let both = project(&self.kv_a_proj_with_mqa, tokens);
        let latent = self.kv_a_layernorm.forward(both.clone().narrow(1, 0, rank));
        let key = both.narrow(1, rank, rope);
        let key = key.reshape([batch, 1, length, rope]);
        let key = self.rope.forward(key, positions.clone());
        Tensor::cat(vec![latent.reshape([batch, 1, length, rank]), key], 3)
    }

    /// Attention of keys and values made from all latents. Returns `[B*L, H*V]`.
    fn materialised(&self, q: Queries, latents: Tensor<4>, options: CausalOptions) -> Tensor<2> {
        let (nope, rope) = (self.qk_nope_head_dim, self.qk_rope_head_dim);
        let value = self.v_head_dim;
        let (heads, rank) = (self.n_heads, self.rank());
        let [batch, _, keys, _] = latents.dims();
        let latent = latents.clone().narrow(3, 0, rank);
        let both = project(&self.kv_b_proj, latent.reshape([batch * keys, rank]))
            .reshape([batch, keys, heads, nope + value])
            .swap_dims(1, 2);
        let shared = latents
            .narrow(3, rank, rope)
            .expand([batch, heads, keys, rope]);
        let key = Tensor::cat(vec![both.clone().narrow(3, 0, nope), shared], 3);
        let query = Tensor::cat(vec![q.nope, q.rope], 3);
        let out = causal_attention(query, key, both.narrow(3, nope, value), options);
        let [_, _, length, _] = out.dims();
        out.swap_dims(1, 2).reshape([batch * length, heads * value])
    }

    /// Attention of the latents themselves, in which all heads share one key. Returns `[B*L, H*V]`.
    fn absorbed(&self, q: Queries, latents: Tensor<4>, options: CausalOptions) -> Tensor<2> {
        let (nope, value) = (self.qk_nope_head_dim, self.v_head_dim);
        let (heads, rank) = (self.n_heads, self.rank());
        let [batch, _, length, _] = q.nope.dims();
        // The weight may be held in bf16; the products here are in the type of the queries.
        let up = self.kv_b_proj.weight.val().cast(q.nope.dtype());
        let up = up.reshape([rank, heads, nope + value]);
        let to_key = up.clone().narrow(2, 0, nope).permute([1, 2, 0]);
        let to_value = up.narrow(2, nope, value).swap_dims(0, 1);

        let query = q
            .nope
            .swap_dims(0, 1)
            .reshape([heads, batch * length, nope]);
        let query = query.matmul(to_key).reshape([heads, batch, length, rank]);
        let query = Tensor::cat(vec![query.swap_dims(0, 1), q.rope], 3);
        let values = latents.clone().narrow(3, 0, rank);
        let out = causal_attention(query, latents, values, options);
        out.swap_dims(0, 1)
            .reshape([heads, batch * length, rank])
            .matmul(to_value)
            .swap_dims(0, 1)
            .reshape([batch * length, heads * value])
    }
}

impl ModuleDisplay for MultiHeadLatentAttention {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [d_model, _] = self.kv_a_proj_with_mqa.weight.dims();
        content
            .add("d_model", &d_model)
            .add("n_heads", &self.n_heads)
            .add("kv_lora_rank", &self.rank())
            .add("qk_nope_head_dim", &self.qk_nope_head_dim)
            .add("qk_rope_head_dim", &self.qk_rope_head_dim)
            .add("v_head_dim", &self.v_head_dim)
            .optional()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use burn::tensor::activation::softmax;
    use burn::tensor::{Bool, Device, TensorData};
    use proptest::prelude::*;

    use super::super::MultiHeadLatentAttentionConfig;
    use super::*;
    use crate::testing::{assert_close, assert_same, values};
    use crate::{KvCache, RotaryLayout, YarnConfig};

    const D_MODEL: usize = 20;

    fn config() -> MultiHeadLatentAttentionConfig {
        MultiHeadLatentAttentionConfig::new(D_MODEL, 3, 10, 6, 4, 5)
    }

    fn with_form(
        mut layer: MultiHeadLatentAttention,
        form: LatentForm,
    ) -> MultiHeadLatentAttention {
        layer.form = form;
        layer
    }

    /// The equations of the paper, head after head, with whole keys and values and no latent form.
    fn plain(layer: &MultiHeadLatentAttention, x: Tensor<3>) -> Tensor<3> {
        let [batch, length, _] = x.dims();
        let (nope, rope, value) = (
            layer.qk_nope_head_dim,
            layer.qk_rope_head_dim,
            layer.v_head_dim,
        );
        let rank = layer.rank();
        let query = match (&layer.q_a_proj, &layer.q_a_layernorm) {
            (Some(down), Some(norm)) => norm.forward(down.forward(x.clone())),
            _ => x.clone(),
        };
        let query = layer.q_b_proj.forward(query);
        let low = layer.kv_a_proj_with_mqa.forward(x);
        let latent = layer.kv_a_layernorm.forward(low.clone().narrow(2, 0, rank));
        let turn = |x: Tensor<3>| {
            let x = x.reshape([batch, 1, length, rope]);
            layer.rope.forward(x, 0).reshape([batch, length, rope])
        };
        let shared = turn(low.narrow(2, rank, rope));
        let up = layer.kv_b_proj.forward(latent);
        let heads = (0..layer.n_heads).map(|head| {
            let q = query.clone().narrow(2, head * (nope + rope), nope + rope);
            let pe = turn(q.clone().narrow(2, nope, rope));
            let q = Tensor::cat(vec![q.narrow(2, 0, nope), pe], 2);
            let kv = up.clone().narrow(2, head * (nope + value), nope + value);
            let k = Tensor::cat(vec![kv.clone().narrow(2, 0, nope), shared.clone()], 2);
            let later = Tensor::<2, Bool>::tril_mask([length, length], 0, &q.device());
            let scores = (q.matmul(k.transpose()) * layer.scale)
                .mask_fill(later.unsqueeze(), f32::NEG_INFINITY);
            softmax(scores, 2).matmul(kv.narrow(2, nope, value))
        });
        layer.o_proj.forward(Tensor::cat(heads.collect(), 2))
    }

    /// The output and the gradients of the input and of every matrix.
    fn run(
        layer: &MultiHeadLatentAttention,
        forward: impl Fn(&MultiHeadLatentAttention, Tensor<3>) -> Tensor<3>,
    ) -> Vec<Tensor<2>> {
        let device = Device::flex().autodiff();
        let x = values([2, 9, D_MODEL], 1, &device).require_grad();
        let out = forward(layer, x.clone());
        let weights = values(out.dims(), 2, &device);
        let grads = (out.clone() * weights).sum().backward();
        let linears = [
            Some(&layer.q_b_proj),
            layer.q_a_proj.as_ref(),
            Some(&layer.kv_a_proj_with_mqa),
            Some(&layer.kv_b_proj),
            Some(&layer.o_proj),
        ];
        let norms = [Some(&layer.kv_a_layernorm), layer.q_a_layernorm.as_ref()];
        let flat = |x: Tensor<3>| x.reshape([18, D_MODEL]);
        let mut found = vec![flat(out.inner()), flat(x.grad(&grads).unwrap())];
        for linear in linears.into_iter().flatten() {
            found.push(linear.weight.grad(&grads).unwrap());
            let bias = linear.bias.as_ref().map(|bias| bias.grad(&grads).unwrap());
            found.extend(bias.map(|bias| bias.unsqueeze()));
        }
        let norms = norms.into_iter().flatten();
        found.extend(norms.map(|norm| norm.gamma.grad(&grads).unwrap().unsqueeze()));
        found
    }

    fn configs() -> [MultiHeadLatentAttentionConfig; 3] {
        let yarn = YarnConfig::new(4.0, 16)
            .with_mscale(1.0)
            .with_mscale_all_dim(0.5);
        [
            config(),
            config().with_q_lora_rank(Some(7)).with_yarn(Some(yarn)),
            config()
                .with_q_lora_rank(Some(7))
                .with_attention_bias(true)
                .with_rope_layout(RotaryLayout::Halves),
        ]
    }

    #[test]
    fn both_forms_equal_plain_attention_with_all_gradients() {
        // Output, input, 4 matrices and a norm; with a latent of queries one more each; 3 biases.
        for (config, tensors) in configs().into_iter().zip([7, 9, 12]) {
            let layer = config.init(&Device::flex().autodiff());
            let expected = run(&layer, plain);
            assert_eq!(expected.len(), tensors);
            for form in [
                LatentForm::Materialised,
                LatentForm::Absorbed,
                LatentForm::Auto,
            ] {
                let layer = with_form(layer.clone(), form);
                let actual = run(&layer, |layer, x| layer.forward(x));
                for (actual, expected) in actual.into_iter().zip(&expected) {
                    assert_close(actual, expected.clone(), 1e-5);
                }
            }
        }
    }

    /// Passes `x` in parts of the given lengths, the last one as long as it must be.
    fn in_parts(layer: &MultiHeadLatentAttention, x: &Tensor<3>, parts: &[usize]) -> Tensor<3> {
        let [_, length, _] = x.dims();
        let mut cache = KvCache::new();
        let mut outputs = Vec::new();
        let rest = [length];
        for part in parts.iter().chain(&rest) {
            let part = (*part).min(length - cache.len());
            if part > 0 {
                let x = x.clone().narrow(1, cache.len(), part);
                outputs.push(layer.forward(AttentionInput::new(x).cache(&mut cache)));
            }
        }
        assert_eq!(cache.len(), length);
        Tensor::cat(outputs, 1)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_split_into_prefill_and_decode_equals_plain(
            heads in 1usize..5,
            rank in 1usize..12,
            nope in 1usize..9,
            half_rope in 1usize..4,
            value in 1usize..9,
            q_rank in prop_oneof![Just(None), (1usize..9).prop_map(Some)],
            batch in 1usize..3,
            length in 1usize..24,
            parts in proptest::collection::vec(1usize..9, 0..12),
        ) {
            let device = Device::flex();
            let layer = MultiHeadLatentAttentionConfig::new(
                D_MODEL, heads, rank, nope, 2 * half_rope, value,
            )
            .with_q_lora_rank(q_rank)
            .init(&device);
            let x = values([batch, length, D_MODEL], 1, &device);
            let expected = plain(&layer, x.clone());
            for form in [LatentForm::Materialised, LatentForm::Absorbed, LatentForm::Auto] {
                let layer = with_form(layer.clone(), form);
                assert_close(in_parts(&layer, &x, &parts), expected.clone(), 1e-5);
            }
        }
    }

    #[test]
    fn a_cache_without_positions_would_be_noticed() {
        let device = Device::flex();
        let x = values([1, 9, D_MODEL], 1, &device);
        for form in [LatentForm::Materialised, LatentForm::Absorbed] {
            let layer = with_form(config().init(&device), form);
            let mut cache = KvCache::new();
            // What a layer would do that starts to count anew at every call.
            let parts = [(0, 5), (5, 4)].map(|(start, length)| {
                let input = AttentionInput::new(x.clone().narrow(1, start, length))
                    .cache(&mut cache)
                    .positions(Positions::From(0));
                layer.forward(input)
            });
            let wrong = Tensor::cat(parts.to_vec(), 1) - plain(&layer, x.clone());
            assert!(wrong.abs().max().into_scalar::<f32>() > 1e-3);
        }
    }

    #[test]
    fn later_tokens_and_batch_neighbours_leave_outputs_alone() {
        let device = Device::flex();
        for form in [LatentForm::Materialised, LatentForm::Absorbed] {
            let layer = with_form(config().init(&device), form);
            let x = values([3, 70, D_MODEL], 1, &device);
            let before = layer.forward(x.clone());
            let later = values([3, 30, D_MODEL], 2, &device);
            let changed = x.clone().slice_assign([0..3, 40..70, 0..D_MODEL], later);
            let after = layer.forward(changed);
            assert_same(after.narrow(1, 0, 40), before.clone().narrow(1, 0, 40));

            let others = values([2, 70, D_MODEL], 3, &device);
            let changed = x.slice_assign([1..3, 0..70, 0..D_MODEL], others);
            let after = layer.forward(changed);
            assert_same(after.narrow(0, 0, 1), before.narrow(0, 0, 1));
        }
    }

    #[test]
    fn left_padding_changes_nothing() {
        let device = Device::flex();
        let x = values([2, 7, D_MODEL], 1, &device);
        let mask = (0..14).map(|i| (7..10).contains(&i)).collect::<Vec<_>>();
        let mask = Tensor::<2, Bool>::from_data(TensorData::new(mask, [2, 7]), &device);
        for form in [LatentForm::Materialised, LatentForm::Absorbed] {
            let layer = with_form(config().init(&device), form);
            let mut cache = KvCache::new();
            let outputs = [(0, 5), (5, 1), (6, 1)].map(|(start, length)| {
                let mask = mask.clone().narrow(1, 0, start + length);
                let input = AttentionInput::new(x.clone().narrow(1, start, length))
                    .cache(&mut cache)
                    .positions(Positions::of_padded(mask.clone(), length))
                    .mask_pad(mask);
                layer.forward(input)
            });
            let outputs = Tensor::cat(outputs.to_vec(), 1);
            for (b, pad) in [0, 3].into_iter().enumerate() {
                let part = |x: &Tensor<3>| x.clone().narrow(0, b, 1).narrow(1, pad, 7 - pad);
                assert_close(part(&outputs), layer.forward(part(&x)), 1e-5);
            }
            assert!(!outputs.is_nan().any().into_scalar::<bool>());
        }
    }

    #[test]
    fn display() {
        assert_eq!(
            config().init(&Device::flex()).to_string(),
            "MultiHeadLatentAttention {d_model: 20, n_heads: 3, kv_lora_rank: 10, \
             qk_nope_head_dim: 6, qk_rope_head_dim: 4, v_head_dim: 5, params: 1520}"
        );
    }

    #[test]
    #[should_panic(expected = "axis 2 expected 20, got 24")]
    fn width_must_be_d_model() {
        let device = Device::flex();
        let _ = config()
            .init(&device)
            .forward(Tensor::zeros([1, 2, 24], &device));
    }
}
