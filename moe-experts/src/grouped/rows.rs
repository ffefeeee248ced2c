//! Rows of a tensor, picked by lists of the host.

use burn::backend::{
    Backend, Slice, TensorMetadata, get_device_settings,
    tensor::{FloatTensor, IntTensor},
};
use burn::tensor::{Shape, TensorData};
use std::ops::Range;

pub(super) fn zeros<B: Backend>(
    shape: impl Into<Vec<usize>>,
    like: &FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_zeros(
        Shape::from(shape.into()),
        &like.device(),
        like.dtype().into(),
    )
}

/// A range of the rows of `x [N, D]`.
pub(super) fn rows_of<B: Backend>(x: &FloatTensor<B>, rows: Range<usize>) -> FloatTensor<B> {
    let [n_rows, width] = [x.shape()[0], x.shape()[1]];
    if rows == (0..n_rows) {
        return x.clone();
    }
    B::float_slice(x.clone(), &[Slice::from(rows), Slice::from(0..width)])
}

/// The `n` listed rows of `x [N, D]`; if the list has zeros, row N is one of zeros.
pub(super) fn select_or_zero<B: Backend>(
    x: FloatTensor<B>,
    list: IntTensor<B>,
    n: usize,
    has_zeros: bool,
) -> FloatTensor<B> {
    let [n_rows, width] = [x.shape()[0], x.shape()[1]];
    if n_rows == 0 {
        return zeros::<B>([n, width], &x);
    }
    if !has_zeros {
        return B::float_select(x, 0, list);
    }
    let zero = zeros::<B>([1, width], &x);
    B::float_select(B::float_cat(vec![x, zero], 0), 0, list)
}

/// A list of the host on the device of `like`.
pub(super) fn index<B: Backend>(list: &[u32], like: &FloatTensor<B>) -> IntTensor<B> {
    let device = like.device();
    let dtype = get_device_settings::<B>(&device).int_dtype;
    let list: Vec<i64> = list.iter().map(|&i| i64::from(i)).collect();
    let shape = [list.len()];
    let data = TensorData::new(list, shape).convert_dtype(dtype.into());
    B::int_from_data(data, &device)
}
