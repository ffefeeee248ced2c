//! A product of few rows with a matrix that is read once, front to back, by all threads.

use burn::tensor::{DType, Shape, bf16};
use burn_flex::FlexTensor;

use super::kernel::{add_products, add_products_bf16};
use super::run_all;

/// A task reads this many rows of the matrix: enough to stream, few enough to keep all threads busy.
const PART: usize = 128;

/// `x [R,D] w [D,N]` for a `w` in f32 or bf16, summed in f32 in ascending order of parts.
pub(super) fn few_rows_product(x: FlexTensor, w: FlexTensor) -> FlexTensor {
    let (x, w) = (x.to_contiguous(), w.to_contiguous());
    let [n_rows, d_in] = x.layout().shape().dims();
    let [_, d_out] = w.layout().shape().dims();
    let mut out = FlexTensor::zeros(Shape::new([n_rows, d_out]), DType::F32);
    if n_rows * d_out > 0 && d_in > 0 {
        let (x, sum) = (x.storage(), out.storage_mut());
        match w.dtype() {
            DType::BF16 => add_rows(sum, x, d_in, w.storage::<bf16>(), add_products_bf16),
            _ => add_rows(sum, x, d_in, w.storage::<f32>(), add_products),
        }
    }
    out
}

/// Adds `x w` to `out`; `add` adds the sum of some rows of the matrix to one row of results.
fn add_rows<W: Sync>(
    out: &mut [f32],
    x: &[f32],
    d_in: usize,
    w: &[W],
    add: fn(&mut [f32], &[f32], &[W]),
) {
    let d_out = w.len() / d_in;
    let mut parts = vec![0.0; d_in.div_ceil(PART) * out.len()];
    let tasks = parts.chunks_mut(out.len()).zip(w.chunks(PART * d_out));
    let work = x.len() * d_out;
    run_all(tasks.enumerate().collect(), work, |_: &mut (), task| {
        let (part, (sum, w)): (usize, (&mut [f32], &[W])) = task;
        for (sum, x) in sum.chunks_exact_mut(d_out).zip(x.chunks_exact(d_in)) {
            add(sum, &x[part * PART..], w);
        }
    });
    // In ascending order of parts, in whichever order threads have finished them.
    for part in parts.chunks(out.len()) {
        let out = out.iter_mut();
        out.zip(part).for_each(|(out, part)| *out += part);
    }
}
