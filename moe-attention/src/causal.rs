//! Causal scaled-dot-product attention over grouped heads: Vaswani et al., arXiv 1706.03762,
//! equation 1; grouped as in Ainslie et al., arXiv 2305.13245; windowed as in Mistral, arXiv
//! 2310.06825.
//!
//! ```text
//! out[b,h,i] = sum_t softmax_t(scale * q[b,h,i] . k[b,j,t]) v[b,j,t]     j = h / G
//! t in 0..=p with p = S-L+i, t > p - window, and not padding
//! ```

use burn::backend::ops::AttentionModuleOptions;
use burn::backend::ops::attention::attention_fallback;
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata, get_or_init_device_settings};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Shape, Tensor, assert_shape};

use crate::backend::{AttentionBackend, AttentionInputs};

/// Scale, padding and window of [`causal_attention`]. A bare scale converts to it.
#[derive(Debug, Clone)]
pub struct CausalOptions {
    scale: f64,
    window: Option<usize>,
    mask_pad: Option<Tensor<2, Bool>>,
}

impl CausalOptions {
    /// Scores multiplied by `scale`, every key up to the query's own visible.
    pub fn new(scale: f64) -> Self {
        Self {
            scale,
            window: None,
            mask_pad: None,
        }
    }

    /// Lets a query attend the last `window` keys only, its own counted.
    ///
    /// # Panics
    ///
    /// Panics if the window is zero.
    pub fn window(mut self, window: Option<usize>) -> Self {
        assert_ne!(
            window,
            Some(0),
            "a window holds at least the query's own key"
        );
        self.window = window;
        self
    }

    /// Hides the keys `[batch_size, key_length]` where the mask is true. A query that has no other
    /// key gets zeros.
    pub fn mask_pad(mut self, mask: Option<Tensor<2, Bool>>) -> Self {
        self.mask_pad = mask;
        self
    }
}

impl From<f64> for CausalOptions {
    fn from(scale: f64) -> Self {
        Self::new(scale)
    }
}

/// Causal attention of `q` over `k` and `v`, whose last rows are the tokens of `q`.
///
/// Query `i` attends keys `0..=S-L+i`; key/value head `j` serves query heads `j*G..(j+1)*G`.
/// On Flex in f32 it runs tiled, without the whole matrix of scores, and has its own backward
/// pass; elsewhere, and where keys are padding, it is composed of the backend's operations. Among these is the backend's
/// own fused attention, where there are as many keys as queries, no window and no gradient.
///
/// # Shapes
///
/// - q: `[batch_size, n_heads, seq_length, head_dim]`
/// - k: `[batch_size, n_kv_heads, key_length, head_dim]`
/// - v: `[batch_size, n_kv_heads, key_length, value_dim]`
/// - output: `[batch_size, n_heads, seq_length, value_dim]`
///
/// # Panics
///
/// Panics if the shapes disagree, if `n_kv_heads` does not divide `n_heads`, or if there are
/// fewer keys than queries.
pub fn causal_attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    options: impl Into<CausalOptions>,
) -> Tensor<4> {
    let options: CausalOptions = options.into();
    let [batch, heads, length, width] = q.dims();
    let [_, kv_heads, keys, _] = k.dims();
    assert_shape!(k, [batch, _, _, width]);
    assert_shape!(v, [batch, kv_heads, keys, _]);
    assert!(
        heads.is_multiple_of(kv_heads),
        "n_kv_heads must divide n_heads, got {kv_heads} and {heads}"
    );
    assert!(
        keys >= length,
        "every query needs its own key, got {length} queries and {keys} keys"
    );
    // A window over all keys hides nothing.
    let window = options.window.filter(|&window| window < keys);
    if let Some(mask_pad) = options.mask_pad {
        assert_shape!(mask_pad, [batch, keys]);
        let hidden = hidden_keys(mask_pad, length, window);
        return masked_attention(q, k, v, options.scale, hidden);
    }
    let (q, k, v) = (q.into_dispatch(), k.into_dispatch(), v.into_dispatch());
    Tensor::from_dispatch(<Dispatch as AttentionBackend>::causal_attention(
        q,
        k,
        v,
        options.scale,
        window,
    ))
}

/// Keys that each of `length` queries must not attend, `[B,1,L,S]`.
fn hidden_keys(mask_pad: Tensor<2, Bool>, length: usize, window: Option<usize>) -> Tensor<4, Bool> {
    let [batch, keys] = mask_pad.dims();
    let device = mask_pad.device();
    let before = (keys - length) as i64;
    let mut hidden = Tensor::<2, Bool>::tril_mask([length, keys], before, &device);
    if let Some(window) = window {
        let recent = Tensor::<2, Bool>::tril_mask([length, keys], before - window as i64, &device);
        hidden = hidden.bool_or(recent.bool_not());
    }
    let mask_pad = mask_pad.reshape([batch, 1, 1, keys]);
    let shape = [batch, 1, length, keys];
    mask_pad
        .expand(shape)
        .bool_or(hidden.reshape([1, 1, length, keys]).expand(shape))
}

/// Attention with a mask `[B,1,L,S]`, from operations of tensors; rows without a key are zeros.
fn masked_attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    scale: f64,
    hidden: Tensor<4, Bool>,
) -> Tensor<4> {
    let [batch, heads, length, width] = q.dims();
    let [_, kv_heads, keys, value_width] = v.dims();
    // The heads of a group side by side: keys are read once and repeated for nobody.
    let rows = [batch, kv_heads, heads / kv_heads * length];
    let q = q.reshape([rows[0], rows[1], rows[2], width]);
    let all = [batch, heads, length, keys];
    let scores = (q.matmul(k.swap_dims(2, 3)) * scale).reshape(all);
    let hidden = hidden.expand(all);
    // Finite, so that a row without a key has no NaN; its weights are erased afterwards.
    let lowest = scores.dtype().finfo().expect("scores are floats").min;
    let weights = softmax(scores.mask_fill(hidden.clone(), lowest), 3).mask_fill(hidden, 0.0);
    weights
        .reshape([rows[0], rows[1], rows[2], keys])
        .matmul(v)
        .reshape([batch, heads, length, value_width])
}

/// Causal attention from a backend's own operations, differentiable where they are.
pub(crate) fn composed_attention<B: Backend>(inputs: AttentionInputs<B>) -> FloatTensor<B> {
    let AttentionInputs {
        q,
        k,
        v,
        scale,
        window,
    } = inputs;
    let [_, heads, length, width] = q.shape().dims();
    let [_, _, keys, _] = k.shape().dims();
    let mask = window.map(|window| outside_window::<B>(&q, &k, window));
    let k = repeat_heads::<B>(k, heads);
    let v = repeat_heads::<B>(v, heads);
    let options = AttentionModuleOptions {
        scale: None,
        softcap: None,
        is_causal: true,
    };
    // The kernels of some backends know the default scale alone, so the queries carry what another differs by.
    let default = (width as f64).sqrt().recip();
    let q = if scale == default {
        q
    } else {
        B::float_mul_scalar(q, (scale / default).into())
    };
    // LibTorch attends what a mask hides, and where keys outnumber queries lets the first query see the
    // first key alone. So backends are asked for what all of them mean alike, the rest is composed.
    let attend = if mask.is_none() && length == keys {
        B::attention
    } else {
        attention_fallback::<B>
    };
    attend(q, k, v, mask, None, options)
}

/// The keys that lie `window` or more before each query, `[B,H,L,S]`.
fn outside_window<B: Backend>(
    q: &FloatTensor<B>,
    k: &FloatTensor<B>,
    window: usize,
) -> BoolTensor<B> {
    let [batch, heads, length, _] = q.shape().dims();
    let [_, _, keys, _] = k.shape().dims();
    let device = q.device();
    let settings = get_or_init_device_settings::<B>(&device);
    let range = |range| B::int_arange(range, &device, settings.int_dtype);
    let first_visible = (keys - length + 1) as i64 - window as i64;
    let first = range(first_visible..first_visible + length as i64);
    let first = B::int_reshape(first, Shape::new([length, 1]));
    let key = B::int_reshape(range(0..keys as i64), Shape::new([1, keys]));
    let outside = B::int_lower(key, first, settings.bool_dtype);
    let outside = B::bool_reshape(outside, Shape::new([1, 1, length, keys]));
    B::bool_expand(outside, Shape::new([batch, heads, length, keys]))
}

/// `[B,Hkv,S,Dh]` to `[B,H,S,Dh]`, each head repeated for the query heads that it serves.
fn repeat_heads<B: Backend>(x: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
    let [batch, kv_heads, keys, width] = x.shape().dims();
    if kv_heads == heads {
        return x;
    }
    let group = heads / kv_heads;
    let x = B::float_reshape(x, Shape::new([batch, kv_heads, 1, keys, width]));
    let x = B::float_expand(x, Shape::new([batch, kv_heads, group, keys, width]));
    B::float_reshape(x, Shape::new([batch, heads, keys, width]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use burn::tensor::activation::softmax;
    use burn::tensor::{Bool, DType, Device, TensorData};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_close, assert_same, values};

    /// Sizes of one case: `[B, Hkv, G, L, S - L, Dh, Dv]`.
    type Case = [usize; 7];

    struct Inputs {
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
    }

    fn inputs(case: Case, device: &Device) -> Inputs {
        let [batch, kv_heads, group, length, cached, width, value_width] = case;
        let keys = length + cached;
        Inputs {
            q: values([batch, kv_heads * group, length, width], 1, device),
            k: values([batch, kv_heads, keys, width], 2, device),
            v: values([batch, kv_heads, keys, value_width], 3, device),
        }
    }

    fn repeated(x: Tensor<4>, group: usize) -> Tensor<4> {
        let [batch, heads, keys, width] = x.dims();
        x.unsqueeze_dim::<5>(2)
            .repeat_dim(2, group)
            .reshape([batch, heads * group, keys, width])
    }

    /// The equation at the head of this file, in the terms of tensors: 1 where query `i` attends key
    /// `t`.
    fn visible(length: usize, keys: usize, options: &CausalOptions) -> Vec<bool> {
        let pairs = (0..length).flat_map(|i| (0..keys).map(move |t| (keys - length + i, t)));
        let window = options.window.unwrap_or(keys);
        pairs.map(|(p, t)| t <= p && p - t < window).collect()
    }

    fn plain(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, options: &CausalOptions) -> Tensor<4> {
        let (group, length, keys) = (q.dims()[1] / k.dims()[1], q.dims()[2], k.dims()[2]);
        let visible = visible(length, keys, options);
        let visible = TensorData::new(visible, [1, 1, length, keys]);
        let hidden = Tensor::<4, Bool>::from_data(visible, &q.device()).bool_not();
        let scores = q.matmul(repeated(k, group).transpose()) * options.scale;
        let scores = scores.mask_fill(hidden, f32::NEG_INFINITY);
        softmax(scores, 3).matmul(repeated(v, group))
    }

    type Attention = fn(Tensor<4>, Tensor<4>, Tensor<4>, &CausalOptions) -> Tensor<4>;

    fn kernel(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, options: &CausalOptions) -> Tensor<4> {
        causal_attention(q, k, v, options.clone())
    }

    /// The output and the three gradients.
    fn run(case: Case, options: &CausalOptions, attention: Attention) -> [Tensor<4>; 4] {
        let device = Device::flex().autodiff();
        let x = inputs(case, &device);
        let leaves = [x.q, x.k, x.v].map(Tensor::require_grad);
        let [q, k, v] = leaves.clone();
        let out = attention(q, k, v, options);
        let grads = (out.clone() * values(out.dims(), 4, &device))
            .sum()
            .backward();
        let [dq, dk, dv] = leaves.map(|leaf| leaf.grad(&grads).unwrap());
        [out.inner(), dq, dk, dv]
    }

    fn assert_equals_plain(case: Case, window: Option<usize>) {
        let options = CausalOptions::new(0.7).window(window);
        let (actual, expected) = (run(case, &options, kernel), run(case, &options, plain));
        for (actual, expected) in actual.into_iter().zip(expected) {
            assert_close(actual, expected, 2e-5);
        }
    }

    #[test]
    fn two_tokens_by_hand() {
        let device = Device::flex();
        let tensor = |x: [[f32; 2]; 2]| Tensor::<2>::from_data(x, &device).unsqueeze::<4>();
        let q = tensor([[1.0, 0.0], [0.0, 1.0]]);
        let k = tensor([[1.0, 0.0], [0.0, 3f32.ln()]]);
        let v = tensor([[1.0, 2.0], [5.0, 10.0]]);
        // Token 0 attends itself alone: v0. Token 1 has scores 0 and ln 3, weights 1/4 and 3/4:
        // (1 + 3 * 5) / 4 = 4 and (2 + 3 * 10) / 4 = 8.
        let expected = tensor([[1.0, 2.0], [4.0, 8.0]]);
        assert_close(causal_attention(q, k, v, 1.0), expected, 1e-6);
    }

    #[test]
    fn equals_plain_over_several_tiles_of_keys() {
        assert_equals_plain([1, 1, 3, 100, 450, 8, 8], None);
        assert_equals_plain([1, 1, 1, 600, 0, 16, 12], None);
    }

    #[test]
    fn equals_plain_with_windows_shorter_and_longer_than_a_tile_of_keys() {
        for window in [1, 30, 512, 560] {
            assert_equals_plain([1, 1, 2, 600, 20, 4, 3], Some(window));
        }
    }

    #[test]
    fn a_window_counts_the_token_itself() {
        let device = Device::flex();
        let x = inputs([1, 1, 1, 3, 0, 2, 2], &device);
        let attend = |window| {
            let options = CausalOptions::new(1.0).window(Some(window));
            causal_attention(x.q.clone(), x.k.clone(), x.v.clone(), options)
        };
        // A window of 1 is the token alone.
        assert_close(attend(1), x.v.clone(), 1e-6);
        // Token 2 sees tokens 1 and 2 in a window of 2: the same as without token 0.
        let late = |x: &Tensor<4>| x.clone().narrow(2, 1, 2);
        let expected = causal_attention(late(&x.q), late(&x.k), late(&x.v), 1.0);
        assert_close(attend(2).narrow(2, 2, 1), expected.narrow(2, 1, 1), 1e-6);
    }

    #[test]
    fn equals_plain_with_more_heads_than_a_tile_has_rows() {
        assert_equals_plain([1, 1, 70, 3, 2, 4, 6], None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn equals_plain(
            batch in 1usize..3,
            kv_heads in 1usize..4,
            group in 1usize..5,
            length in 1usize..90,
            cached in prop_oneof![Just(0usize), 1usize..40],
            width in 1usize..40,
            value_width in 1usize..40,
            window in prop_oneof![Just(None), (1usize..60).prop_map(Some)],
        ) {
            let case = [batch, kv_heads, group, length, cached, width, value_width];
            assert_equals_plain(case, window);
        }
    }

    #[test]
    fn groups_equal_repeated_heads() {
        let device = Device::flex();
        let x = inputs([2, 2, 3, 37, 5, 8, 8], &device);
        let repeated_heads = causal_attention(
            x.q.clone(),
            repeated(x.k.clone(), 3),
            repeated(x.v.clone(), 3),
            0.5,
        );
        assert_close(causal_attention(x.q, x.k, x.v, 0.5), repeated_heads, 1e-6);
    }

    #[test]
    fn later_tokens_leave_earlier_outputs_alone() {
        let device = Device::flex();
        let x = inputs([2, 2, 2, 90, 0, 8, 8], &device);
        let changed = |x: Tensor<4>, salt| {
            let [batch, heads, _, width] = x.dims();
            let new = values([batch, heads, 41, width], salt, &device) * 50.0;
            x.slice_assign([0..batch, 0..heads, 49..90, 0..width], new)
        };
        let before = causal_attention(x.q.clone(), x.k.clone(), x.v.clone(), 0.5);
        let after = causal_attention(changed(x.q, 5), changed(x.k, 6), changed(x.v, 7), 0.5);
        assert_same(
            after.clone().narrow(2, 0, 49),
            before.clone().narrow(2, 0, 49),
        );
        assert!(
            (after - before)
                .narrow(2, 49, 41)
                .abs()
                .max()
                .into_scalar::<f32>()
                > 0.1
        );
    }

    #[test]
    fn batch_neighbours_do_not_matter() {
        let device = Device::flex();
        let x = inputs([3, 2, 2, 70, 3, 8, 8], &device);
        let together = causal_attention(x.q.clone(), x.k.clone(), x.v.clone(), 0.5);
        for i in 0..3 {
            let [q, k, v] = [&x.q, &x.k, &x.v].map(|x| x.clone().narrow(0, i, 1));
            assert_same(
                causal_attention(q, k, v, 0.5),
                together.clone().narrow(0, i, 1),
            );
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let device = Device::flex().autodiff();
                let x = inputs([2, 2, 2, 90, 0, 32, 32], &device);
                let k = x.k.require_grad();
                let out = causal_attention(x.q, k.clone(), x.v, 0.2);
                let grads = out.clone().powi_scalar(2).sum().backward();
                [out.inner(), k.grad(&grads).unwrap()]
            })
        };
        for (one, four) in run(1).into_iter().zip(run(4)) {
            assert_same(one, four);
        }
    }

    #[test]
    fn the_order_in_memory_does_not_matter() {
        let device = Device::flex();
        let x = inputs([2, 2, 2, 70, 3, 8, 8], &device);
        let contiguous = causal_attention(x.q.clone(), x.k.clone(), x.v.clone(), 0.5);
        let reordered = |x: Tensor<4>, axis| {
            let copy = x.swap_dims(axis, 3) * 1.0;
            copy.swap_dims(axis, 3)
        };
        let strided =
            causal_attention(reordered(x.q, 1), reordered(x.k, 2), reordered(x.v, 0), 0.5);
        assert_same(strided, contiguous);
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let device = Device::flex();
        let x = inputs([1, 1, 1, 20, 0, 4, 4], &device);
        let (q, k, v) = (x.q * 1e3, x.k * 1e3, x.v);
        let expected = plain(q.clone(), k.clone(), v.clone(), &CausalOptions::new(1.0));
        assert_close(causal_attention(q, k, v, 1.0), expected, 1e-4);
    }

    #[test]
    fn nan_in_a_query_reaches_its_output_and_no_other() {
        let device = Device::flex();
        let x = inputs([1, 1, 1, 3, 0, 2, 2], &device);
        let nan = Tensor::from_data(TensorData::new(vec![f32::NAN], [1, 1, 1, 1]), &device);
        let q = x.q.slice_assign([0..1, 0..1, 1..2, 0..1], nan);
        let out = causal_attention(q, x.k, x.v, 1.0).is_nan().into_data();
        out.assert_eq(
            &TensorData::new(vec![false, false, true, true, false, false], [1, 1, 3, 2]),
            false,
        );
    }

    /// Masks of 3 sequences of 9 keys: none, the first 4 and the last 3 are padding.
    fn padding(device: &Device) -> Tensor<2, Bool> {
        let mask = (0..3).flat_map(|b| (0..9).map(move |t| (b == 1 && t < 4) || (b == 2 && t > 5)));
        Tensor::from_data(TensorData::new(mask.collect::<Vec<_>>(), [3, 9]), device)
    }

    #[test]
    fn padding_is_as_good_as_absent() {
        let device = Device::flex();
        let x = inputs([3, 2, 2, 9, 0, 4, 5], &device);
        for window in [None, Some(3)] {
            let options = CausalOptions::new(0.5).window(window);
            let masked = options.clone().mask_pad(Some(padding(&device)));
            let out = causal_attention(x.q.clone(), x.k.clone(), x.v.clone(), masked);
            for (b, start, length) in [(0, 0, 9), (1, 4, 5), (2, 0, 6)] {
                let part = |x: &Tensor<4>| x.clone().narrow(0, b, 1).narrow(2, start, length);
                let expected =
                    causal_attention(part(&x.q), part(&x.k), part(&x.v), options.clone());
                assert_close(part(&out), expected, 1e-6);
            }
            // Nothing to attend: zeros.
            let empty = out.narrow(0, 1, 1).narrow(2, 0, 4);
            assert_eq!(empty.abs().max().into_scalar::<f32>(), 0.0);
        }
    }

    #[test]
    fn gradients_pass_by_padding() {
        let device = Device::flex().autodiff();
        let options = CausalOptions::new(0.5).mask_pad(Some(padding(&device)));
        let [_, dq, dk, dv] = run([3, 2, 2, 9, 0, 4, 5], &options, kernel);
        // The queries without a key, and the keys that nobody may attend.
        let rows = |x: &Tensor<4>, b, start, length| {
            let rows = x.clone().narrow(0, b, 1).narrow(2, start, length);
            rows.abs().max().into_scalar::<f32>()
        };
        assert_eq!(rows(&dq, 1, 0, 4), 0.0);
        for grad in [dk, dv] {
            assert_eq!([rows(&grad, 1, 0, 4), rows(&grad, 2, 6, 3)], [0.0; 2]);
            assert!(rows(&grad, 1, 4, 5) > 1e-3 && rows(&grad, 2, 0, 6) > 1e-3);
        }
    }

    #[test]
    #[should_panic(expected = "a window holds at least the query's own key")]
    fn windows_are_not_empty() {
        let _ = CausalOptions::new(1.0).window(Some(0));
    }

    #[test]
    #[should_panic(expected = "axis 1 expected 9, got 8")]
    fn masks_cover_all_keys() {
        let device = Device::flex();
        let x = inputs([3, 1, 1, 9, 0, 4, 4], &device);
        let mask = padding(&device).narrow(1, 0, 8);
        let _ = causal_attention(x.q, x.k, x.v, CausalOptions::new(1.0).mask_pad(Some(mask)));
    }

    #[test]
    fn other_element_types_are_composed() {
        let device = Device::flex();
        let x = inputs([1, 2, 2, 9, 3, 4, 4], &device);
        for window in [None, Some(4)] {
            let options = CausalOptions::new(0.5).window(window);
            let attend = |q, k, v| causal_attention(q, k, v, options.clone());
            let expected = attend(x.q.clone(), x.k.clone(), x.v.clone());
            let [q, k, v] = [&x.q, &x.k, &x.v].map(|x| x.clone().cast(DType::F64));
            let out = attend(q, k, v);
            assert_eq!(out.dtype(), DType::F64);
            assert_close(out.cast(DType::F32), expected, 1e-6);
        }
    }

    fn attend_zeros(q: [usize; 4], k: [usize; 4], v: [usize; 4]) {
        let device = Device::flex();
        let [q, k, v] = [q, k, v].map(|shape| Tensor::zeros(shape, &device));
        let _ = causal_attention(q, k, v, 1.0);
    }

    #[test]
    #[should_panic(expected = "n_kv_heads must divide n_heads, got 2 and 3")]
    fn kv_heads_must_divide_heads() {
        attend_zeros([1, 3, 4, 8], [1, 2, 4, 8], [1, 2, 4, 8]);
    }

    #[test]
    #[should_panic(expected = "every query needs its own key, got 5 queries and 4 keys")]
    fn keys_must_cover_the_queries() {
        attend_zeros([1, 2, 5, 8], [1, 2, 4, 8], [1, 2, 4, 8]);
    }

    #[test]
    #[should_panic(expected = "axis 3 expected 8, got 6")]
    fn key_width_must_match() {
        attend_zeros([1, 2, 4, 8], [1, 2, 4, 6], [1, 2, 4, 6]);
    }

    #[test]
    #[should_panic(expected = "axis 2 expected 4, got 5")]
    fn value_length_must_match() {
        attend_zeros([1, 2, 4, 8], [1, 2, 4, 8], [1, 2, 5, 8]);
    }

    #[test]
    #[should_panic(expected = "axis 0 expected 1, got 2")]
    fn batch_size_must_match() {
        attend_zeros([1, 2, 4, 8], [2, 2, 4, 8], [2, 2, 4, 8]);
    }
}
