//! Rows times a matrix that is read once, front to back.

use super::super::weight::Number;
use moe_router::for_every_cpu;
use std::array;

/// At most this many rows meet a matrix in one pass over it.
pub(in super::super) const MAX_STREAM_ROWS: usize = 4;

/// Up to this many columns one row of the matrix after another streams by fastest. Wider results crowd the
/// first cache, which the matrix passes through as well, and are visited once for [`ABREAST`] of its rows.
const NARROW: usize = 2048;

/// The number of rows of the matrix that stream by side by side.
const ABREAST: usize = 8;

/// `y_r += sum over i of x_r[first + i] w[i]` for every row `r`, in ascending `i`.
///
/// `x` is `[n_rows, d_in]`, `w` some rows of a matrix `[.., d_out]` that start at row `first`, `y` is
/// `[n_rows, d_out]`.
///
/// # Panics
///
/// Panics if there are no rows, more than [`MAX_STREAM_ROWS`], or if the sizes disagree.
pub(in super::super) fn stream<W: Number>(
    x: &[f32],
    d_in: usize,
    first: usize,
    w: &[W],
    y: &mut [f32],
) {
    let n_rows = x.len() / d_in;
    assert!(n_rows * d_in == x.len() && (1..=MAX_STREAM_ROWS).contains(&n_rows));
    let d_out = y.len() / n_rows;
    assert!(d_out > 0 && y.len() == n_rows * d_out && w.len().is_multiple_of(d_out));
    assert!(first + w.len() / d_out <= d_in);
    if n_rows == 1 && d_out > NARROW {
        stream_wide(&x[first..], w, y);
    } else {
        stream_rows(&x[first..], d_in, d_out, w, y);
    }
}

for_every_cpu!(stream_rows<W: Number>, rows_body, (x: &[f32], d_in: usize, d_out: usize, w: &[W], y: &mut [f32]));
for_every_cpu!(stream_wide<W: Number>, wide_body, (x: &[f32], w: &[W], y: &mut [f32]));

#[inline(always)]
fn rows_body<W: Number>(x: &[f32], d_in: usize, d_out: usize, w: &[W], y: &mut [f32]) {
    for (i, w) in w.chunks_exact(d_out).enumerate() {
        for (r, y) in y.chunks_exact_mut(d_out).enumerate() {
            let x = x[r * d_in + i];
            y.iter_mut().zip(w).for_each(|(y, w)| *y += x * w.widen());
        }
    }
}

#[inline(always)]
fn wide_body<W: Number>(x: &[f32], w: &[W], y: &mut [f32]) {
    let d_out = y.len();
    let bands = w.chunks_exact(ABREAST * d_out);
    let rest = bands.remainder();
    let done = (w.len() - rest.len()) / d_out;
    for (x, band) in x.chunks_exact(ABREAST).zip(bands) {
        let rows: [&[W]; ABREAST] = array::from_fn(|i| &band[i * d_out..(i + 1) * d_out]);
        for (column, y) in y.iter_mut().enumerate() {
            // row after row, as `rows_body` sums: the bits are the same
            *y = (0..ABREAST).fold(*y, |y, i| y + x[i] * rows[i][column].widen());
        }
    }
    rows_body(&x[done..], x.len() - done, d_out, rest, y);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_many_rows_narrow_and_wide() {
        // w[i] = i + 1 in every column, x_r[i] = r + 1, parts start at row 2: y_r = (r + 1) 11 * 12 / 2
        for (n_rows, d_out) in [(1, 3), (3, 17), (4, 1), (1, NARROW + 5)] {
            let w: Vec<f32> = (0..11).flat_map(|i| vec![i as f32 + 1.0; d_out]).collect();
            let x: Vec<f32> = (0..n_rows).flat_map(|r| vec![r as f32 + 1.0; 13]).collect();
            let mut y = vec![0.0; n_rows * d_out];
            stream(&x, 13, 2, &w, &mut y);
            for (r, y) in y.chunks(d_out).enumerate() {
                assert!(y.iter().all(|&y| y == (r as f32 + 1.0) * 66.0));
            }
        }
    }
}
