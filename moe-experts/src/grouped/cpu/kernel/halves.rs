//! The dense product with a matrix in bf16, on one thread.

use std::cell::Cell;

use burn::tensor::bf16;

use super::super::weight::Number;
use super::{Mat, Write, gemm};

/// `dst [R, d_out] = x [R, d_in] w [d_in, d_out]`, summed in f32.
///
/// A processor with products of bf16 (AVX512-BF16) rounds `x` to bf16 as well, as other programs do; any
/// other widens the matrix.
///
/// # Panics
///
/// Panics if the sizes disagree.
pub(in super::super) fn product_bf16(dst: &mut [f32], x: &[f32], w: &[bf16], d_out: usize) {
    let d_in = w.len() / d_out;
    assert!(d_in > 0 && w.len() == d_in * d_out && x.len().is_multiple_of(d_in));
    assert!(dst.len() == x.len() / d_in * d_out);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16") {
        // SAFETY: the processor has just said that it has both.
        unsafe { native::product(dst, x, w, d_out) };
        return;
    }
    widened(dst, x, w, d_out);
}

/// Widens the matrix into memory of its own: the thread's scratch is lent to the task that calls this.
fn widened(dst: &mut [f32], x: &[f32], w: &[bf16], d_out: usize) {
    thread_local! {
        static WIDE: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    }
    let mut wide = WIDE.take();
    wide.clear();
    wide.extend(w.iter().map(|w| w.widen()));
    let x = Mat::new(x, w.len() / d_out);
    gemm(dst, x, Mat::new(&wide, d_out), Write::Set);
    WIDE.set(wide);
}

/// The product by instructions that multiply pairs of bf16 and add them to an f32.
#[cfg(target_arch = "x86_64")]
mod native {
    use std::arch::x86_64::*;
    use std::array::from_fn;
    use std::cell::Cell;
    use std::mem::transmute;

    use burn::tensor::bf16;

    /// Numbers in a vector of f32, or pairs in one of bf16.
    const LANES: usize = 16;
    /// Vectors that a row of a block fills.
    const VECTORS: usize = 4;
    /// Columns of a block.
    const COLUMNS: usize = VECTORS * LANES;
    /// Rows of a block: its sums, a row of the matrix and one number more fit into the registers.
    const ROWS: usize = 6;

    /// Both factors in pairs of consecutive summands, as the instruction reads them.
    #[derive(Default)]
    struct Packed {
        /// `[R, n_pairs]`: the rows.
        x: Vec<u32>,
        /// `[n_pairs, COLUMNS]`: some columns of the matrix.
        w: Vec<u32>,
    }

    thread_local! {
        static PACKED: Cell<Packed> = Cell::default();
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn product(dst: &mut [f32], x: &[f32], w: &[bf16], d_out: usize) {
        let d_in = w.len() / d_out;
        let n_pairs = d_in.div_ceil(2);
        let mut packed = PACKED.take();
        pack_rows(x, d_in, &mut packed.x);
        packed.w.resize(n_pairs * COLUMNS, 0);
        for first in (0..d_out).step_by(COLUMNS) {
            let width = COLUMNS.min(d_out - first);
            pack_columns(w, d_out, first, width, &mut packed.w);
            let blocks = packed.x.chunks(ROWS * n_pairs);
            for (x, dst) in blocks.zip(dst.chunks_mut(ROWS * d_out)) {
                let dst = &mut dst[first..];
                match x.len() / n_pairs {
                    1 => block::<1>(x, &packed.w, dst, d_out, width),
                    2 => block::<2>(x, &packed.w, dst, d_out, width),
                    3 => block::<3>(x, &packed.w, dst, d_out, width),
                    4 => block::<4>(x, &packed.w, dst, d_out, width),
                    5 => block::<5>(x, &packed.w, dst, d_out, width),
                    _ => block::<ROWS>(x, &packed.w, dst, d_out, width),
                }
            }
        }
        PACKED.set(packed);
    }

    fn pair(first: u16, second: u16) -> u32 {
        u32::from(first) | u32::from(second) << 16
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn pack_rows(x: &[f32], d_in: usize, packed: &mut Vec<u32>) {
        packed.clear();
        for row in x.chunks_exact(d_in) {
            let (vectors, rest) = row.as_chunks::<{ 2 * LANES }>();
            for numbers in vectors {
                // SAFETY: both halves are 16 numbers long, and 32 numbers in bf16 are 16 pairs.
                let pairs: [u32; LANES] = unsafe {
                    let [low, high] = [0, LANES].map(|at| _mm512_loadu_ps(&raw const numbers[at]));
                    // the instruction takes the upper half first
                    transmute::<__m512bh, [u32; LANES]>(_mm512_cvtne2ps_pbh(high, low))
                };
                packed.extend(pairs);
            }
            packed.extend(rest.chunks(2).map(|two| {
                let second = two.get(1).copied().unwrap_or(0.0);
                let [first, second] = [two[0], second].map(|x| bf16::from_f32(x).to_bits());
                pair(first, second)
            }));
        }
    }

    /// Columns from `first` on; those beyond `width` keep what they held, which nobody reads.
    #[target_feature(enable = "avx512f")]
    fn pack_columns(w: &[bf16], d_out: usize, first: usize, width: usize, packed: &mut [u32]) {
        let mut rows = w.chunks_exact(d_out).map(|row| &row[first..first + width]);
        for packed in packed.chunks_exact_mut(COLUMNS) {
            let upper = rows.next().expect("a row of the matrix for each pair");
            match rows.next() {
                Some(lower) => {
                    for ((packed, upper), lower) in packed.iter_mut().zip(upper).zip(lower) {
                        *packed = pair(upper.to_bits(), lower.to_bits());
                    }
                }
                // the last of an odd number of summands is paired with zero
                None => {
                    for (packed, upper) in packed.iter_mut().zip(upper) {
                        *packed = pair(upper.to_bits(), 0);
                    }
                }
            }
        }
    }

    /// `R` rows times the packed columns; `dst` begins at the first of both, its rows `stride` apart.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn block<const R: usize>(x: &[u32], w: &[u32], dst: &mut [f32], stride: usize, width: usize) {
        let n_pairs = x.len() / R;
        let rows: [&[u32]; R] = from_fn(|r| &x[r * n_pairs..(r + 1) * n_pairs]);
        let (w, _) = w.as_chunks::<COLUMNS>();
        assert!(w.len() == n_pairs);
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; R];
        for (p, w) in w.iter().enumerate() {
            // SAFETY: a row of the packed columns is four vectors of 16 pairs.
            let w: [__m512bh; VECTORS] = from_fn(|v| unsafe {
                transmute::<__m512i, __m512bh>(_mm512_loadu_epi32((&raw const w[v * LANES]).cast()))
            });
            for (sums, row) in sums.iter_mut().zip(rows) {
                // SAFETY: `p` is below the length of every row; 16 pairs are a vector of bf16.
                let x: __m512bh = unsafe {
                    transmute::<__m512i, __m512bh>(_mm512_set1_epi32(*row.get_unchecked(p) as i32))
                };
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = _mm512_dpbf16_ps(*sum, x, w);
                }
            }
        }
        for (sums, dst) in sums.into_iter().zip(dst.chunks_mut(stride)) {
            let dst = &mut dst[..width];
            for (sum, dst) in sums.into_iter().zip(dst.chunks_mut(LANES)) {
                let mask = u16::MAX >> (LANES - dst.len());
                // SAFETY: the mask leaves out what lies beyond `dst`.
                unsafe { _mm512_mask_storeu_ps(dst.as_mut_ptr(), mask, sum) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers: exact in bf16, and so are their sums in f32.
    fn integers(len: usize, step: usize) -> Vec<f32> {
        (0..len).map(|i| (i * step % 13) as f32 - 6.0).collect()
    }

    #[test]
    fn whole_and_ragged_blocks_are_exact_on_integers() {
        // heights about a block of 6, odd and even sums, widths about vectors of 16 and blocks of 64
        for n_rows in [1, 5, 6, 7, 13] {
            for (d_in, d_out) in [(1, 1), (2, 16), (33, 17), (64, 64), (95, 131)] {
                let x = integers(n_rows * d_in, 5);
                let wide = integers(d_in * d_out, 7);
                let w: Vec<bf16> = wide.iter().map(|&w| bf16::from_f32(w)).collect();
                let mut expected = vec![0.0; n_rows * d_out];
                let wide = Mat::new(&wide, d_out);
                gemm(&mut expected, Mat::new(&x, d_in), wide, Write::Set);
                for product in [product_bf16, widened] {
                    let mut y = vec![f32::NAN; n_rows * d_out];
                    product(&mut y, &x, &w, d_out);
                    assert_eq!(y, expected, "{n_rows} x {d_in} x {d_out}");
                }
            }
        }
    }
}
