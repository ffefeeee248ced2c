//! Matrix products and vectorised row operations: the only unsafe code of the crate.

use burn::tensor::bf16;

use super::lanes::{Fused, LANES, MulAdd, Separate, exp2, lanes, lanes_mut, larger, reduce};

/// A read-only matrix over a slice, of any strides.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix whose rows are contiguous and `row_stride` apart.
    ///
    /// # Panics
    ///
    /// Panics if the slice is too short.
    pub fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let end = if rows == 0 {
            0
        } else {
            (rows - 1) * row_stride + columns
        };
        assert!(
            end <= data.len(),
            "matrix of {end} elements in a slice of {}",
            data.len()
        );
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The rows `start..end`.
    pub fn rows(self, start: usize, end: usize) -> Self {
        assert!(
            start <= end && end <= self.rows,
            "rows {start}..{end} of {}",
            self.rows
        );
        Self {
            data: &self.data[start * self.row_stride..],
            rows: end - start,
            ..self
        }
    }

    /// The columns `start..end`.
    pub fn columns(self, start: usize, end: usize) -> Self {
        self.transposed().rows(start, end).transposed()
    }

    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Action of a product on the values at its destination.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Set,
    Add,
}

/// `destination = lhs rhs`, or `destination += lhs rhs`, on this thread; the rows of `destination`
/// are `stride` apart.
///
/// # Panics
///
/// Panics if the inner sizes differ or if `destination` is too short.
pub(super) fn product(
    destination: &mut [f32],
    stride: usize,
    lhs: Matrix,
    rhs: Matrix,
    write: Write,
) {
    let (m, n, k) = (lhs.rows, rhs.columns, lhs.columns);
    assert_eq!(k, rhs.rows, "inner sizes of a product");
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        stride >= n && (m - 1) * stride + n <= destination.len(),
        "product does not fit"
    );
    let read = write == Write::Add;
    // SAFETY: `Matrix::new`, `rows` and `transposed` keep every element of `lhs` and `rhs` inside
    // their slices, the assertion above keeps those of `destination` inside its own with distinct
    // places, and the exclusive borrow rules out overlap with the operands.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            destination.as_mut_ptr(),
            1,
            stride as isize,
            read,
            lhs.data.as_ptr(),
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Compiles a function three times, for AVX-512, AVX2 with FMA and anything, and picks at run
/// time. Bodies are loops over arrays of [`LANES`] that the compiler turns into vectors.
macro_rules! vectorised {
    ($(#[$doc:meta])* fn $name:ident<$ops:ident>($($arg:ident: $ty:ty),*) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        pub(super) fn $name($($arg: $ty),*) $(-> $out)? {
            #[inline(always)]
            fn body<$ops: MulAdd>($($arg: $ty),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx2,fma")]
                fn wide($($arg: $ty),*) $(-> $out)? { body::<Fused>($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn narrow($($arg: $ty),*) $(-> $out)? { body::<Fused>($($arg),*) }

                let has_fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
                if has_fma && is_x86_feature_detected!("avx512f") {
                    // SAFETY: the three features were just detected.
                    return unsafe { wide($($arg),*) };
                }
                if has_fma {
                    // SAFETY: the two features were just detected.
                    return unsafe { narrow($($arg),*) };
                }
            }
            body::<Separate>($($arg),*)
        }
    };
}

vectorised! {
    /// The largest element of a row padded to [`LANES`], NaN aside.
    fn row_max<O>(row: &[f32]) -> f32 {
        let mut max = [f32::NEG_INFINITY; LANES];
        for x in lanes(row) {
            for i in 0..LANES {
                max[i] = larger(max[i], x[i]);
            }
        }
        reduce(max, larger)
    }
}

vectorised! {
    /// Replaces each `x` of a row padded to [`LANES`] with `2^(x - shift)` and returns their sum.
    fn row_exp2<O>(row: &mut [f32], shift: f32) -> f32 {
        let mut sum = [0.0; LANES];
        for x in lanes_mut(row) {
            for i in 0..LANES {
                x[i] = exp2::<O>(x[i] - shift);
                sum[i] += x[i];
            }
        }
        reduce(sum, |a, b| a + b)
    }
}

vectorised! {
    /// The gradient of a row of scores: `p = 2^(score - lse)` to `scores` and
    /// `p * (grad - delta)` to `grads`, rows padded to [`LANES`].
    fn row_grads<O>(scores: &mut [f32], grads: &mut [f32], lse: f32, delta: f32) {
        for (x, g) in lanes_mut(scores).iter_mut().zip(lanes_mut(grads)) {
            for i in 0..LANES {
                x[i] = exp2::<O>(x[i] - lse);
                g[i] = x[i] * (g[i] - delta);
            }
        }
    }
}

vectorised! {
    /// The inner product of two rows of equal length.
    fn dot<O>(a: &[f32], b: &[f32]) -> f32 {
        let mut sum = [0.0; LANES];
        for (x, y) in lanes(a).iter().zip(lanes(b)) {
            for i in 0..LANES {
                sum[i] = O::mul_add(x[i], y[i], sum[i]);
            }
        }
        let done = a.len() / LANES * LANES;
        let rest: f32 = a[done..].iter().zip(&b[done..]).map(|(x, y)| x * y).sum();
        reduce(sum, |a, b| a + b) + rest
    }
}

vectorised! {
    /// Turns one row, halves paired, by the angles of its position.
    fn turn<O>(out: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32]) {
        let half = cos.len();
        let (out_low, out_high) = out.split_at_mut(half);
        let (low, high) = x.split_at(half);
        let outs = out_low.iter_mut().zip(out_high);
        for (((y0, y1), (x0, x1)), (c, s)) in outs.zip(low.iter().zip(high)).zip(cos.iter().zip(sin)) {
            *y0 = x0 * c - x1 * s;
            *y1 = x1 * c + x0 * s;
        }
    }
}

vectorised! {
    /// `y += sum over i of x_i w_i`, where `w_i` are rows as wide as `y`, in ascending order.
    fn add_products<O>(y: &mut [f32], x: &[f32], w: &[f32]) {
        for (x, w) in x.iter().zip(w.chunks_exact(y.len())) {
            y.iter_mut().zip(w).for_each(|(y, w)| *y = O::mul_add(*x, *w, *y));
        }
    }
}

vectorised! {
    /// The same with rows in bf16.
    fn add_products_bf16<O>(y: &mut [f32], x: &[f32], w: &[bf16]) {
        for (x, w) in x.iter().zip(w.chunks_exact(y.len())) {
            let wide = w.iter().map(|w| f32::from_bits(u32::from(w.to_bits()) << 16));
            y.iter_mut().zip(wide).for_each(|(y, w)| *y = O::mul_add(*x, w, *y));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(len: usize) -> Vec<f32> {
        (0..len)
            .map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0)
            .collect()
    }

    #[test]
    fn product_by_hand() {
        // Rows 3 apart: [1 2; 4 5], times its transpose: [5 14; 14 41].
        let data = [1.0, 2.0, 0.0, 4.0, 5.0];
        let matrix = Matrix::new(&data, 2, 2, 3);
        let mut out = [9.0; 6];
        product(&mut out, 4, matrix, matrix.transposed(), Write::Set);
        assert_eq!(out, [5.0, 14.0, 9.0, 9.0, 14.0, 41.0]);
        // The second row times the second column of the transpose, once more: 41 + 41.
        let (row, column) = (matrix.rows(1, 2), matrix.transposed().columns(1, 2));
        product(&mut out[5..], 1, row, column, Write::Add);
        assert_eq!(out[5], 82.0);
    }

    #[test]
    #[should_panic(expected = "inner sizes of a product")]
    fn inner_sizes_must_match() {
        let matrix = Matrix::new(&[0.0; 6], 2, 3, 3);
        product(&mut [0.0; 9], 3, matrix, matrix, Write::Set);
    }

    #[test]
    #[should_panic(expected = "product does not fit")]
    fn destination_must_be_long_enough() {
        let matrix = Matrix::new(&[0.0; 4], 2, 2, 2);
        product(&mut [0.0; 3], 2, matrix, matrix, Write::Set);
    }

    #[test]
    #[should_panic(expected = "matrix of 8 elements in a slice of 7")]
    fn matrix_must_fit_its_slice() {
        Matrix::new(&[0.0; 7], 2, 3, 5);
    }

    #[test]
    fn row_operations_equal_loops() {
        let row = ramp(48);
        let max = row.iter().copied().fold(f32::MIN, f32::max);
        assert_eq!(row_max(&row), max);

        let mut weights = row.clone();
        let sum = row_exp2(&mut weights, max);
        let expected: Vec<f32> = row.iter().map(|x| (x - max).exp2()).collect();
        assert!(
            weights
                .iter()
                .zip(&expected)
                .all(|(a, b)| (a - b).abs() < 2e-7)
        );
        assert!((sum - expected.iter().sum::<f32>()).abs() < 1e-5);

        let (mut scores, mut grads) = (row.clone(), ramp(48));
        row_grads(&mut scores, &mut grads, max, 0.5);
        assert_eq!(scores, weights);
        let expected = weights.iter().zip(&row).map(|(p, g)| p * (g - 0.5));
        assert!(
            grads
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
    }

    #[test]
    fn dot_takes_every_element() {
        // 1 + 4 + ... + n^2 = n (n + 1) (2n + 1) / 6; for 19: 2470.
        let row: Vec<f32> = (1..=19).map(|i| i as f32).collect();
        assert_eq!(dot(&row, &row), 2470.0);
    }
}
