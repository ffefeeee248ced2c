//! A product of few rows with a matrix that is read once, front to back, by all threads.

use burn::tensor::{DType, Shape};
use burn_flex::FlexTensor;

use super::kernel::add_products;
use super::run_all;

/// A task reads this many rows of the matrix: enough to stream, few enough to keep all threads busy.
const PART: usize = 128;

/// `x [R,D] w [D,N]`, summed in ascending order of parts.
pub(super) fn few_rows_product(x: FlexTensor, w: FlexTensor) -> FlexTensor {
    let (x, w) = (x.to_contiguous(), w.to_contiguous());
    let [n_rows, d_in] = x.layout().shape().dims();
    let [_, d_out] = w.layout().shape().dims();
    let mut out = FlexTensor::zeros(Shape::new([n_rows, d_out]), DType::F32);
    let size = n_rows * d_out;
    if size == 0 || d_in == 0 {
        return out;
    }
    let (x, w) = (x.storage::<f32>(), w.storage::<f32>());
    let mut parts = vec![0.0; d_in.div_ceil(PART) * size];
    let tasks = parts.chunks_mut(size).zip(w.chunks(PART * d_out));
    let work = n_rows * d_in * d_out;
    run_all(tasks.enumerate().collect(), work, |_: &mut (), task| {
        let (part, (sum, w)): (usize, (&mut [f32], &[f32])) = task;
        for (sum, x) in sum.chunks_exact_mut(d_out).zip(x.chunks_exact(d_in)) {
            add_products(sum, &x[part * PART..], w);
        }
    });
    for part in parts.chunks(size) {
        let out = out.storage_mut::<f32>().iter_mut();
        out.zip(part).for_each(|(out, part)| *out += part);
    }
    out
}
