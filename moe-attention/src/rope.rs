//! Rotary position embedding, Su et al., arXiv 2104.09864, equation 34, with the pairs of Llama and
//! Mixtral (halves) or of DeepSeek-V2 and V3 (neighbours).
//!
//! ```text
//! angle(p, i) = p * theta^(-2i/d)                    p position, i in 0..d/2
//! y[i]       = x[i] * cos(angle) - x[i + d/2] * sin(angle)
//! y[i + d/2] = x[i + d/2] * cos(angle) + x[i] * sin(angle)
//! ```
//!
//! Differs from the paper: results lie in halves in both layouts, as in DeepSeek-V3 (V2 puts each
//! pair back where it was). Queries and keys are permuted alike, so scores do not change.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Device, Int, Shape, Slice, Tensor, TensorData, assert_shape};

use crate::backend::AttentionBackend;
use crate::positions::Positions;
use crate::yarn::YarnConfig;

/// Pairs of coordinates of a query or key that turn together.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum RotaryLayout {
    /// `i` with `i + d/2`: Llama, Mixtral, DeepSeekMoE.
    Halves,
    /// `2i` with `2i + 1`: DeepSeek-V2 and V3. The output has the first of each pair in its first
    /// half and the second ones in its second.
    Neighbours,
}

/// Configuration to create a [`RotaryEmbedding`] with [`init`](RotaryEmbeddingConfig::init).
#[derive(Config, Debug)]
pub struct RotaryEmbeddingConfig {
    /// The width of one head, even.
    pub head_dim: usize,
    /// The base of the angles. Defaults to 10000.
    #[config(default = 10_000.0)]
    pub theta: f64,
    /// Positions below this come from a table; later ones are computed when they are met.
    /// Defaults to 2048.
    #[config(default = 2048)]
    pub max_seq_length: usize,
    /// Pairs of coordinates that turn together. Defaults to halves.
    #[config(default = "RotaryLayout::Halves")]
    pub layout: RotaryLayout,
    /// Stretches positions for long texts. Defaults to none.
    #[config(default = "None")]
    pub yarn: Option<YarnConfig>,
}

/// Turns each pair of coordinates of a query or key by an angle proportional to its position.
///
/// Has no parameters. Created with [`RotaryEmbeddingConfig`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct RotaryEmbedding {
    /// `[max_seq_length, head_dim / 2]`
    cos: Tensor<2>,
    /// `[max_seq_length, head_dim / 2]`
    sin: Tensor<2>,
    #[module(skip)]
    frequencies: Vec<f32>,
    /// The factor of cosines and sines.
    #[module(skip)]
    factor: f32,
    #[module(skip)]
    layout: RotaryLayout,
}

impl RotaryEmbeddingConfig {
    /// Creates the embedding and its tables.
    ///
    /// # Panics
    ///
    /// Panics if `head_dim` is odd or zero, or if `theta` is not positive.
    pub fn init(&self, device: &Device) -> RotaryEmbedding {
        assert!(
            self.head_dim > 0 && self.head_dim.is_multiple_of(2),
            "head_dim must be even and at least 2, got {}",
            self.head_dim
        );
        assert!(
            self.theta > 0.0,
            "theta must be positive, got {}",
            self.theta
        );
        let frequencies = self.frequencies();
        let factor = self.yarn.map_or(1.0, |yarn| yarn.rotation_factor()) as f32;
        let angles = angles(&frequencies, 0, self.max_seq_length);
        let half = frequencies.len();
        RotaryEmbedding {
            cos: table(&angles, |angle| angle.cos() * factor, half, device),
            sin: table(&angles, |angle| angle.sin() * factor, half, device),
            frequencies,
            factor,
            layout: self.layout,
        }
    }

    /// `theta^(-2i/d)` for `i` in `0..d/2`, or what YaRN makes of them, in the f32 of the published
    /// models.
    fn frequencies(&self) -> Vec<f32> {
        let width = self.head_dim as f64;
        let frequencies = match self.yarn {
            Some(yarn) => yarn.frequencies(self.head_dim, self.theta),
            None => (0..self.head_dim / 2)
                .map(|i| self.theta.powf(-2.0 * i as f64 / width))
                .collect(),
        };
        frequencies.into_iter().map(|f| f as f32).collect()
    }
}

/// The cosines and sines of the tokens of a call, `[B or 1,L,Dh/2]`.
struct Angles {
    cos: Tensor<3>,
    sin: Tensor<3>,
}

impl RotaryEmbedding {
    /// The angle of each pair of coordinates at position 1, `[head_dim / 2]`.
    pub fn frequencies(&self) -> &[f32] {
        &self.frequencies
    }

    /// Rotates the rows of `x` by their positions; a number is the position of the first row.
    ///
    /// # Shapes
    ///
    /// - x: `[batch_size, n_heads, seq_length, head_dim]`
    /// - positions, if given one by one: `[batch_size, seq_length]`
    /// - output: as x
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `head_dim`, or if the positions do not fit `x`.
    pub fn forward(&self, x: Tensor<4>, positions: impl Into<Positions>) -> Tensor<4> {
        let head_dim = 2 * self.frequencies.len();
        assert_shape!(x, [_, _, _, head_dim]);
        let [batch, heads, length, _] = x.dims();
        let angles = match positions.into() {
            Positions::From(start) => self.consecutive(start, length),
            Positions::Each(positions) => {
                assert_shape!(positions, [batch, length]);
                self.each(positions)
            }
        };
        let x = match self.layout {
            RotaryLayout::Halves => x,
            RotaryLayout::Neighbours => x
                .reshape([batch, heads, length, head_dim / 2, 2])
                .swap_dims(3, 4)
                .reshape([batch, heads, length, head_dim]),
        };
        // Cosines and sines are computed in f32: bf16 rounds large positions to their neighbours.
        let dtype = x.dtype();
        rotate(x, angles.cos.cast(dtype), angles.sin.cast(dtype))
    }

    /// Positions `start..start + length`, from the tables where they reach.
    fn consecutive(&self, start: usize, length: usize) -> Angles {
        let (half, end) = (self.frequencies.len(), start + length);
        let [tabled, _] = self.cos.dims();
        if end <= tabled {
            let rows = |table: &Tensor<2>| table.clone().slice([start..end, 0..half]).unsqueeze();
            return Angles {
                cos: rows(&self.cos),
                sin: rows(&self.sin),
            };
        }
        let (device, factor) = (self.cos.device(), self.factor);
        let angles = angles(&self.frequencies, start, end);
        Angles {
            cos: table(&angles, |angle| angle.cos() * factor, half, &device).unsqueeze(),
            sin: table(&angles, |angle| angle.sin() * factor, half, &device).unsqueeze(),
        }
    }

    /// Positions given one by one, without a look at their values, which may be on a GPU.
    fn each(&self, positions: Tensor<2, Int>) -> Angles {
        let half = self.frequencies.len();
        let frequencies = TensorData::new(self.frequencies.clone(), [1, 1, half]);
        let frequencies = Tensor::<3>::from_data(frequencies, &positions.device());
        let angles = positions.float().unsqueeze_dim::<3>(2) * frequencies;
        Angles {
            cos: angles.clone().cos() * self.factor,
            sin: angles.sin() * self.factor,
        }
    }
}

impl ModuleDisplay for RotaryEmbedding {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [max_seq_length, half] = self.cos.dims();
        content
            .add("head_dim", &(2 * half))
            .add("max_seq_length", &max_seq_length)
            .optional()
    }
}

/// The angle of each position in `start..end` and frequency, position-major, in f32.
fn angles(frequencies: &[f32], start: usize, end: usize) -> Vec<f32> {
    (start..end)
        .flat_map(|position| frequencies.iter().map(move |f| position as f32 * f))
        .collect()
}

fn table(angles: &[f32], function: impl Fn(f32) -> f32, half: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = angles.iter().copied().map(function).collect();
    let rows = values.len() / half;
    Tensor::from_data(TensorData::new(values, [rows, half]), device)
}

fn rotate(x: Tensor<4>, cos: Tensor<3>, sin: Tensor<3>) -> Tensor<4> {
    let (x, cos, sin) = (x.into_dispatch(), cos.into_dispatch(), sin.into_dispatch());
    Tensor::from_dispatch(<Dispatch as AttentionBackend>::rotate(x, cos, sin))
}

/// The rotation from a backend's own operations, differentiable where they are.
pub(crate) fn composed_rotation<B: Backend>(
    x: FloatTensor<B>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
) -> FloatTensor<B> {
    let [sequences, length, half] = cos.shape().dims();
    let rows = Shape::new([sequences, 1, length, half]);
    let cos = B::float_reshape(cos, rows.clone());
    let sin = B::float_reshape(sin, rows);
    let columns = |x, from| {
        let all = Slice::full();
        B::float_slice(x, &[all, all, all, Slice::from(from..from + half)])
    };
    let low = columns(x.clone(), 0);
    let high = columns(x, half);
    let turned_low = B::float_sub(
        B::float_mul(low.clone(), cos.clone()),
        B::float_mul(high.clone(), sin.clone()),
    );
    let turned_high = B::float_add(B::float_mul(high, cos), B::float_mul(low, sin));
    B::float_cat(vec![turned_low, turned_high], 3)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use burn::tensor::DType;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_close, values};

    #[test]
    fn one_pair_by_hand() {
        let device = Device::flex();
        let rope = RotaryEmbeddingConfig::new(2).init(&device);
        let x = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 2.0]], &device).unsqueeze::<4>();
        // Frequency 1, positions 3 and 4: (1, 0) turns to (cos 3, sin 3), (0, 2) to
        // (-2 sin 4, 2 cos 4).
        let expected = [
            [3f32.cos(), 3f32.sin()],
            [-2.0 * 4f32.sin(), 2.0 * 4f32.cos()],
        ];
        let expected = Tensor::<2>::from_data(expected, &device).unsqueeze::<4>();
        assert_close(rope.forward(x, 3), expected, 1e-6);
    }

    /// The equations at the head of this file, in f64.
    fn closed_form(x: &[f32], position: usize, theta: f64) -> Vec<f32> {
        let half = x.len() / 2;
        let turned = |i: usize, a: f32, b: f32, sign: f64| {
            let angle = position as f64 * theta.powf(-2.0 * i as f64 / x.len() as f64);
            (f64::from(a) * angle.cos() + sign * f64::from(b) * angle.sin()) as f32
        };
        let low = (0..half).map(|i| turned(i, x[i], x[i + half], -1.0));
        let high = (0..half).map(|i| turned(i, x[i + half], x[i], 1.0));
        low.chain(high).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn equals_the_closed_form(
            heads in 1usize..4,
            length in 1usize..20,
            half in 1usize..20,
            start in 0usize..100,
            theta in prop_oneof![Just(10_000.0), Just(1e6)],
        ) {
            let device = Device::flex();
            let config = RotaryEmbeddingConfig::new(2 * half).with_theta(theta);
            // With and without a table long enough.
            for max_seq_length in [16, 200] {
                let rope = config.clone().with_max_seq_length(max_seq_length).init(&device);
                let x = values([2, heads, length, 2 * half], 1, &device);
                let rows: Vec<f32> = x.to_data().try_to_vec().unwrap();
                let expected: Vec<f32> = rows
                    .chunks(2 * half)
                    .enumerate()
                    .flat_map(|(i, row)| closed_form(row, start + i % length, theta))
                    .collect();
                let expected = Tensor::from_data(TensorData::new(expected, x.dims()), &device);
                assert_close(rope.forward(x, start), expected, 3e-5);
            }
        }

        #[test]
        fn scores_depend_on_the_distance_alone(distance in 0usize..50, shift in 0usize..500) {
            let device = Device::flex();
            let rope = RotaryEmbeddingConfig::new(8).init(&device);
            let (q, k) = (values([1, 1, 1, 8], 1, &device), values([1, 1, 1, 8], 2, &device));
            let score = |start| {
                (rope.forward(q.clone(), start + distance) * rope.forward(k.clone(), start)).sum()
            };
            assert_close(score(shift), score(0), 1e-4);
        }
    }

    #[test]
    fn neighbours_by_hand() {
        let device = Device::flex();
        let config = RotaryEmbeddingConfig::new(4).with_layout(RotaryLayout::Neighbours);
        let x = Tensor::<2>::from_data([[1.0, 0.0, 0.0, 2.0]], &device).unsqueeze::<4>();
        // Pairs (1, 0) and (0, 2), frequencies 1 and 1/100, position 3: (cos 3, sin 3) and
        // (-2 sin 0.03, 2 cos 0.03); first ones first.
        let (a, b) = (3f32, 0.03f32);
        let expected = [[a.cos(), -2.0 * b.sin(), a.sin(), 2.0 * b.cos()]];
        let expected = Tensor::<2>::from_data(expected, &device).unsqueeze::<4>();
        assert_close(config.init(&device).forward(x, 3), expected, 1e-6);
    }

    #[test]
    fn positions_may_be_given_one_by_one() {
        let device = Device::flex();
        let yarn = YarnConfig::new(4.0, 16)
            .with_mscale(1.0)
            .with_mscale_all_dim(0.5);
        for layout in [RotaryLayout::Halves, RotaryLayout::Neighbours] {
            // Position 9 is beyond the table.
            let rope = RotaryEmbeddingConfig::new(6)
                .with_layout(layout)
                .with_yarn(Some(yarn))
                .with_max_seq_length(8)
                .init(&device);
            let x = values([2, 3, 2, 6], 1, &device);
            let positions = [[0i64, 9], [4, 5]];
            let each = Positions::Each(Tensor::from_data(positions, &device));
            let turned = rope.forward(x.clone(), each);
            for (b, l) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let part = |x: &Tensor<4>| x.clone().narrow(0, b, 1).narrow(2, l, 1);
                let expected = rope.forward(part(&x), positions[b][l] as usize);
                assert_close(part(&turned), expected, 1e-6);
            }
        }
    }

    #[test]
    fn yarn_multiplies_cosines_and_sines() {
        let device = Device::flex();
        let yarn = YarnConfig::new(4.0, 16)
            .with_mscale(1.0)
            .with_mscale_all_dim(0.5);
        let config = RotaryEmbeddingConfig::new(6).with_yarn(Some(yarn));
        let x = values([1, 1, 1, 6], 1, &device);
        // Position 0 turns nothing. With m = 1 + 0.1 a ln 4: 1.138629 / 1.069315.
        for start in [0, 5] {
            let rope = config.init(&device);
            let length = |x: Tensor<4>| x.square().sum().sqrt();
            let ratio = length(rope.forward(x.clone(), start)) / length(x.clone());
            assert!((ratio.into_scalar::<f32>() - 1.064_821).abs() < 1e-5);
        }
        let turned = config.init(&device).forward(x.clone(), 0);
        assert_close(turned, x * 1.064_821, 1e-5);
    }

    #[test]
    #[should_panic(expected = "axis 1 expected 3, got 2")]
    fn every_token_needs_its_position() {
        let device = Device::flex();
        let positions = Positions::Each(Tensor::zeros([1, 2], &device));
        let rope = RotaryEmbeddingConfig::new(4).init(&device);
        let _ = rope.forward(Tensor::zeros([1, 1, 3, 4], &device), positions);
    }

    #[test]
    fn kernel_equals_composition_in_output_and_gradient() {
        let device = Device::flex().autodiff();
        let weights = values([2, 3, 5, 6], 2, &device);
        let each = values([2, 5], 3, &device).abs().mul_scalar(50.0).int();
        // Only f32 has a kernel.
        let run = |dtype, layout, positions: &Positions| {
            let rope = RotaryEmbeddingConfig::new(6)
                .with_layout(layout)
                .init(&device);
            let x = values([2, 5, 3, 6], 1, &device)
                .swap_dims(1, 2)
                .require_grad();
            let out = rope.forward(x.clone().cast(dtype), positions.clone());
            let out = out.cast(DType::F32);
            let grads = (out.clone() * weights.clone()).sum().backward();
            [out.inner(), x.grad(&grads).unwrap()]
        };
        for layout in [RotaryLayout::Halves, RotaryLayout::Neighbours] {
            for positions in [Positions::From(2), Positions::Each(each.clone())] {
                let kernel = run(DType::F32, layout, &positions);
                let composed = run(DType::F64, layout, &positions);
                for (kernel, composed) in kernel.into_iter().zip(composed) {
                    assert_close(kernel, composed, 1e-6);
                }
            }
        }
    }

    #[test]
    fn display() {
        assert_eq!(
            RotaryEmbeddingConfig::new(6)
                .init(&Device::flex())
                .to_string(),
            "RotaryEmbedding {head_dim: 6, max_seq_length: 2048}"
        );
    }

    #[test]
    #[should_panic(expected = "head_dim must be even and at least 2, got 5")]
    fn head_dim_must_be_even() {
        RotaryEmbeddingConfig::new(5).init(&Device::flex());
    }

    #[test]
    #[should_panic(expected = "axis 3 expected 4, got 6")]
    fn width_must_be_head_dim() {
        let device = Device::flex();
        let rope = RotaryEmbeddingConfig::new(4).init(&device);
        let _ = rope.forward(Tensor::zeros([1, 1, 2, 6], &device), 0);
    }
}
