//! The one module with `unsafe`: calls into the matrix product and into vector instructions.
//!
//! Everything it exports is safe: matrices are bounds-checked views, and an instruction set is used
//! only after the processor was asked for it.

use std::ops::Range;

use gemm::Parallelism;

use super::curve::{Curve, Gelu, Relu, Silu};
use crate::Activation;

/// A read-only strided matrix over a slice.
#[derive(Clone, Copy)]
pub(super) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// What a product does to its destination.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Write {
    /// Overwrite.
    Set,
    /// Add to.
    Add,
}

impl<'a> Mat<'a> {
    /// A row-major matrix of `cols` columns.
    pub fn new(data: &'a [f32], cols: usize) -> Self {
        assert!(cols > 0 && data.len().is_multiple_of(cols));
        Self {
            data,
            rows: data.len() / cols,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    /// The transposed view.
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// The view of some columns.
    pub fn columns(self, columns: Range<usize>) -> Self {
        assert!(columns.start < columns.end && columns.end <= self.cols);
        Self {
            data: &self.data[columns.start * self.col_stride..],
            cols: columns.len(),
            ..self
        }
    }

    fn is_inside(&self) -> bool {
        self.rows == 0
            || self.cols == 0
            || (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride
                < self.data.len()
    }
}

/// `dst = a b` or `dst += a b` on the calling thread; `dst` is row-major `[a.rows, b.cols]`.
pub(super) fn gemm(dst: &mut [f32], a: Mat<'_>, b: Mat<'_>, write: Write) {
    assert!(a.cols == b.rows && dst.len() == a.rows * b.cols);
    assert!(a.is_inside() && b.is_inside());
    if a.cols == 0 && write == Write::Set {
        dst.fill(0.0);
        return;
    }
    // SAFETY: the asserts above keep every index that the product forms inside the three slices,
    // `dst` is exclusively borrowed, and the element type is f32 on all sides.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            dst.as_mut_ptr(),
            1,
            b.cols as isize,
            write == Write::Add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Defines `$name`, which runs `$body` compiled for the best instruction set of this processor.
macro_rules! for_every_cpu {
    ($(#[$doc:meta])* $name:ident, $body:ident, ($($arg:ident: $ty:ty),*) $(-> $out:ty)?) => {
        $(#[$doc])*
        fn $name<C: Curve>($($arg: $ty),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512<C: Curve>($($arg: $ty),*) $(-> $out)? {
                    $body::<C>($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2<C: Curve>($($arg: $ty),*) $(-> $out)? {
                    $body::<C>($($arg),*)
                }
                if is_x86_feature_detected!("avx512f") {
                    // SAFETY: the processor has just said that it has AVX-512F.
                    return unsafe { avx512::<C>($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has just said that it has AVX2.
                    return unsafe { avx2::<C>($($arg),*) };
                }
            }
            $body::<C>($($arg),*)
        }
    };
}

for_every_cpu!(
    forward_curve, forward_body, (gate: Option<&[f32]>, up: &[f32], scale: f32, hidden: &mut [f32])
);
for_every_cpu!(
    backward_curve, backward_body,
    (gate: Option<&mut [f32]>, up: &mut [f32], d_hidden: &[f32], scale: f32) -> f32
);

/// One row of `hidden = scale act(gate) up`, or `scale act(up)` without a gate.
pub(super) fn hidden_row(
    activation: Activation,
    gate: Option<&[f32]>,
    up: &[f32],
    scale: f32,
    hidden: &mut [f32],
) {
    match activation {
        Activation::SwiGlu | Activation::Silu => forward_curve::<Silu>(gate, up, scale, hidden),
        Activation::Gelu => forward_curve::<Gelu>(gate, up, scale, hidden),
        Activation::Relu => forward_curve::<Relu>(gate, up, scale, hidden),
    }
}

/// One row backwards: pre-activations become their gradients in place.
///
/// `d_hidden` is the gradient of the unscaled hidden row before the factor `scale`; the dot product
/// of the two, which is the gradient of `scale`, is returned.
pub(super) fn hidden_row_backward(
    activation: Activation,
    gate: Option<&mut [f32]>,
    up: &mut [f32],
    d_hidden: &[f32],
    scale: f32,
) -> f32 {
    match activation {
        Activation::SwiGlu | Activation::Silu => backward_curve::<Silu>(gate, up, d_hidden, scale),
        Activation::Gelu => backward_curve::<Gelu>(gate, up, d_hidden, scale),
        Activation::Relu => backward_curve::<Relu>(gate, up, d_hidden, scale),
    }
}

#[inline(always)]
fn forward_body<C: Curve>(gate: Option<&[f32]>, up: &[f32], scale: f32, hidden: &mut [f32]) {
    match gate {
        Some(gate) => {
            for ((h, &g), &u) in hidden.iter_mut().zip(gate).zip(up) {
                *h = scale * C::at(g).value * u;
            }
        }
        None => {
            for (h, &u) in hidden.iter_mut().zip(up) {
                *h = scale * C::at(u).value;
            }
        }
    }
}

/// Partial sums of a dot product, so that its order is fixed and still a vector operation.
const LANES: usize = 16;

#[inline(always)]
fn backward_body<C: Curve>(
    gate: Option<&mut [f32]>,
    up: &mut [f32],
    d_hidden: &[f32],
    scale: f32,
) -> f32 {
    let mut dot = [0.0; LANES];
    match gate {
        Some(gate) => {
            let blocks = gate
                .chunks_mut(LANES)
                .zip(up.chunks_mut(LANES))
                .zip(d_hidden.chunks(LANES));
            for ((gate, up), d_hidden) in blocks {
                let lanes = gate.iter_mut().zip(up).zip(d_hidden).zip(&mut dot);
                for (((g, u), &dh), dot) in lanes {
                    let point = C::at(*g);
                    *dot += point.value * *u * dh;
                    *g = scale * dh * *u * point.slope;
                    *u = scale * dh * point.value;
                }
            }
        }
        None => {
            for (up, d_hidden) in up.chunks_mut(LANES).zip(d_hidden.chunks(LANES)) {
                for ((u, &dh), dot) in up.iter_mut().zip(d_hidden).zip(&mut dot) {
                    let point = C::at(*u);
                    *dot += point.value * dh;
                    *u = scale * dh * point.slope;
                }
            }
        }
    }
    dot.iter().sum()
}

/// Writes the transpose of the row-major `src` `[rows, cols]` to `dst` `[cols, rows]`.
pub(super) fn transpose(src: &[f32], cols: usize, dst: &mut [f32]) {
    assert!(src.len() == dst.len() && src.len().is_multiple_of(cols));
    let rows = src.len() / cols;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") {
        // SAFETY: the processor has just said that it has AVX.
        unsafe { transpose_avx(src, rows, cols, dst) };
        return;
    }
    transpose_block(src, rows, cols, dst, 0..rows, 0..cols);
}

fn transpose_block(
    src: &[f32],
    n_rows: usize,
    n_cols: usize,
    dst: &mut [f32],
    rows: Range<usize>,
    cols: Range<usize>,
) {
    for col in cols {
        for row in rows.clone() {
            dst[col * n_rows + row] = src[row * n_cols + col];
        }
    }
}

/// Squares of 8 by 8 in registers; the ragged right and lower borders one by one.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
fn transpose_avx(src: &[f32], rows: usize, cols: usize, dst: &mut [f32]) {
    const SIDE: usize = 8;
    let [full_rows, full_cols] = [rows / SIDE * SIDE, cols / SIDE * SIDE];
    // Two squares side by side use whole cache lines of `src`, the next two the rest of those of `dst`.
    for band in (0..full_cols).step_by(2 * SIDE) {
        for row in (0..full_rows).step_by(SIDE) {
            for col in (band..full_cols.min(band + 2 * SIDE)).step_by(SIDE) {
                // SAFETY: the square lies inside both matrices, whose sizes `transpose` has checked.
                unsafe {
                    let from = src.as_ptr().add(row * cols + col);
                    let to = dst.as_mut_ptr().add(col * rows + row);
                    transpose_square(from, cols, to, rows);
                }
            }
        }
    }
    transpose_block(src, rows, cols, dst, full_rows..rows, 0..full_cols);
    transpose_block(src, rows, cols, dst, 0..rows, full_cols..cols);
}

/// Transposes 8 rows of 8 values.
///
/// # Safety
///
/// `from` and `to` must point at 8 rows of 8 values, `from_stride` and `to_stride` apart.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn transpose_square(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    use std::arch::x86_64::*;
    let mut r = [_mm256_setzero_ps(); 8];
    for (i, r) in r.iter_mut().enumerate() {
        // SAFETY: row `i` of the source square, by the contract.
        *r = unsafe { _mm256_loadu_ps(from.add(i * from_stride)) };
    }
    // Pairs of rows interleave to columns of two, those to columns of four, those to columns of eight.
    let mut pairs = r;
    for i in 0..4 {
        pairs[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    let mut fours = pairs;
    for i in [0, 4] {
        for j in 0..2 {
            let [a, b] = [pairs[i + j], pairs[i + j + 2]];
            fours[i + 2 * j] = _mm256_shuffle_ps::<0b01_00_01_00>(a, b);
            fours[i + 2 * j + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(a, b);
        }
    }
    for i in 0..4 {
        let low = _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]);
        let high = _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]);
        // SAFETY: rows `i` and `i + 4` of the target square, by the contract.
        unsafe {
            _mm256_storeu_ps(to.add(i * to_stride), low);
            _mm256_storeu_ps(to.add((i + 4) * to_stride), high);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_views() {
        // [1 2; 3 4] [5 6; 7 8] = [19 22; 43 50]; the transposed left factor gives [26 30; 38 44].
        let a = [1.0, 2.0, 3.0, 4.0];
        let b = [5.0, 6.0, 7.0, 8.0];
        let mut c = [0.0; 4];
        gemm(&mut c, Mat::new(&a, 2), Mat::new(&b, 2), Write::Set);
        assert_eq!(c, [19.0, 22.0, 43.0, 50.0]);
        gemm(&mut c, Mat::new(&a, 2).t(), Mat::new(&b, 2), Write::Set);
        assert_eq!(c, [26.0, 30.0, 38.0, 44.0]);
        gemm(&mut c, Mat::new(&a, 2), Mat::new(&b, 2), Write::Add);
        assert_eq!(c, [45.0, 52.0, 81.0, 94.0]);
    }

    #[test]
    fn transposes_any_size() {
        for [rows, cols] in [[1, 1], [3, 5], [16, 16], [17, 40], [33, 8]] {
            let src: Vec<f32> = (0..rows * cols).map(|i| i as f32).collect();
            let mut dst = vec![0.0; src.len()];
            transpose(&src, cols, &mut dst);
            for r in 0..rows {
                for c in 0..cols {
                    assert_eq!(dst[c * rows + r], src[r * cols + c]);
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let gate: Vec<f32> = (0..37).map(|i| i as f32 * 0.3 - 5.0).collect();
        let up: Vec<f32> = (0..37).map(|i| 1.0 - i as f32 * 0.1).collect();
        let mut fast = vec![0.0; 37];
        let mut plain = vec![0.0; 37];
        forward_curve::<Silu>(Some(&gate), &up, 0.7, &mut fast);
        forward_body::<Silu>(Some(&gate), &up, 0.7, &mut plain);
        assert_eq!(fast, plain);

        let mut fast_grads = [gate.clone(), up.clone()];
        let mut plain_grads = [gate, up];
        let [g, u] = &mut fast_grads;
        let fast_dot = backward_curve::<Gelu>(Some(g), u, &fast, 0.7);
        let [g, u] = &mut plain_grads;
        let plain_dot = backward_body::<Gelu>(Some(g), u, &fast, 0.7);
        assert_eq!(fast_dot, plain_dot);
        assert_eq!(fast_grads, plain_grads);
    }
}
