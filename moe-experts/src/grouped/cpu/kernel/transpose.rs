//! The transpose of a matrix.

use std::ops::Range;

/// Writes the transpose of the row-major `src` `[rows, cols]` to `dst` `[cols, rows]`.
pub(in super::super) fn transpose(src: &[f32], cols: usize, dst: &mut [f32]) {
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
}
