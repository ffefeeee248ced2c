//! The dense product on one thread.

use std::ops::Range;

use gemm::Parallelism;

/// A read-only strided matrix over a slice.
#[derive(Clone, Copy)]
pub(in super::super) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// Action of a product on its destination.
#[derive(Clone, Copy, PartialEq)]
pub(in super::super) enum Write {
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
pub(in super::super) fn gemm(dst: &mut [f32], a: Mat<'_>, b: Mat<'_>, write: Write) {
    // SAFETY: `dst` is exclusively borrowed.
    unsafe { product(dst.as_mut_ptr(), dst.len(), a, b, write) };
}

/// As [`gemm`], on memory that need not have been written if the product is to [`Set`](Write::Set) it.
///
/// # Safety
///
/// `dst` must point at `length` values that nothing else refers to, and that are written if they are to be
/// added to.
pub(super) unsafe fn product(dst: *mut f32, length: usize, a: Mat<'_>, b: Mat<'_>, write: Write) {
    assert!(a.cols == b.rows && length == a.rows * b.cols);
    assert!(a.is_inside() && b.is_inside());
    // SAFETY: the asserts above keep every index that the product forms inside the two slices and the
    // `length` values at `dst`, which it does not read where it sets them; all elements are f32.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            dst,
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
}
