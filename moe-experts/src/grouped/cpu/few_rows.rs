//! Products of few rows, as in generation token by token: bound by reading the weights, not by
//! arithmetic. Every chosen expert's matrix is read once, front to back, by all threads.

use rayon::prelude::*;

use super::kernel::{MAX_STREAM_ROWS, stream};
use super::tile::with_scratch;
use super::weight::{Number, Weight};
use crate::plan::block;

/// A task reads this many rows of a matrix: enough to stream, few enough to keep all threads busy.
const PART: usize = 128;

/// Rows grouped by expert, of which every expert has few.
pub(super) struct FewRows<'a> {
    /// `[n_rows, d_in]`, sorted by expert.
    pub x: &'a [f32],
    /// `[n_experts]`, cumulative row ends.
    pub ends: &'a [u32],
    pub d_in: usize,
    pub d_out: usize,
}

/// A part of an expert's matrix with the rows that meet it, and where their share of the sum goes.
struct Task<'a, W> {
    x: &'a [f32],
    first: usize,
    w: &'a [W],
    partial: &'a mut [f32],
}

/// Returns `true` if reading the matrices is what costs. Few tokens make few rows whichever experts they go
/// to. So the same tokens beside others that are routed elsewhere are computed in the same way.
pub(super) fn is_few(n_tokens: usize, ends: &[u32]) -> bool {
    n_tokens <= MAX_STREAM_ROWS
        && (0..ends.len()).all(|expert| block(ends, expert).len() <= MAX_STREAM_ROWS)
}

impl FewRows<'_> {
    /// `y_n = x_n W_e` for every stack `[n_experts, d_in, d_out]` with its `y [n_rows, d_out]`.
    pub fn products<const N: usize, W: Weight>(&self, stacks: [&[W]; N], outs: [&mut [f32]; N]) {
        if !self.x.is_empty() {
            W::few(self, stacks, outs);
        }
    }

    /// As [`products`](Self::products), of stacks of plain numbers and at least one row.
    pub fn streamed<const N: usize, W: Number>(&self, stacks: [&[W]; N], outs: [&mut [f32]; N]) {
        let n_parts = self.d_in.div_ceil(PART);
        let size = self.x.len() / self.d_in * self.d_out;
        with_scratch([N * n_parts * size], |[scratch]| {
            let mut rest = &mut scratch[..];
            let mut tasks = Vec::new();
            for stack in stacks {
                rest = self.cut(stack, rest, &mut tasks);
            }
            // one task at a time: they differ in rows, and a thread that is done takes the next
            tasks.into_par_iter().with_max_len(1).for_each(|task| {
                // scratch memory holds what an earlier call left
                task.partial.fill(0.0);
                stream(task.x, self.d_in, task.first, task.w, task.partial);
            });
            for (out, partials) in outs.into_iter().zip(scratch.chunks(n_parts * size)) {
                self.sum(partials, out);
            }
        });
    }

    /// One task for every part of every matrix that has rows; returns what is left of `scratch`.
    fn cut<'s, W>(
        &'s self,
        stack: &'s [W],
        mut scratch: &'s mut [f32],
        tasks: &mut Vec<Task<'s, W>>,
    ) -> &'s mut [f32] {
        let matrices = stack.chunks(self.d_in * self.d_out).enumerate();
        for (expert, matrix) in matrices {
            let rows = block(self.ends, expert);
            if rows.is_empty() {
                continue;
            }
            let x = &self.x[rows.start * self.d_in..rows.end * self.d_in];
            for (part, w) in matrix.chunks(PART * self.d_out).enumerate() {
                let partial = scratch
                    .split_off_mut(..rows.len() * self.d_out)
                    .expect("a share for every part of every row");
                tasks.push(Task {
                    x,
                    first: part * PART,
                    w,
                    partial,
                });
            }
        }
        scratch
    }

    /// Sums the parts of every row in ascending order.
    fn sum(&self, partials: &[f32], out: &mut [f32]) {
        let mut rest = partials;
        for expert in 0..self.ends.len() {
            let rows = block(self.ends, expert);
            let out = &mut out[rows.start * self.d_out..rows.end * self.d_out];
            for part in 0..self.d_in.div_ceil(PART) {
                let share = rest
                    .split_off(..out.len())
                    .expect("a share for every part of every row");
                if part == 0 {
                    out.copy_from_slice(share);
                } else {
                    out.iter_mut().zip(share).for_each(|(o, s)| *o += s);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_meets_its_expert_over_all_parts() {
        // x = 1 everywhere, W_e = e + 1 everywhere: y = d_in (e + 1); expert 1 has no rows
        let [d_in, d_out] = [PART + 3, 5];
        let ends = [1, 1, 4];
        let x = vec![1.0; 4 * d_in];
        let w: Vec<f32> = (0..3)
            .flat_map(|e| vec![e as f32 + 1.0; d_in * d_out])
            .collect();
        let rows = FewRows {
            x: &x,
            ends: &ends,
            d_in,
            d_out,
        };
        let mut y = vec![f32::NAN; 4 * d_out];
        let mut z = y.clone();
        rows.products([&w, &w], [&mut y, &mut z]);
        let (first, others) = y.split_at(d_out);
        assert!(first.iter().all(|&y| y == d_in as f32));
        assert!(others.iter().all(|&y| y == 3.0 * d_in as f32));
        assert_eq!(y, z);
    }

    #[test]
    fn few_tokens_are_few_unless_one_goes_to_an_expert_often() {
        let most = MAX_STREAM_ROWS;
        assert!(is_few(most, &[most as u32, 2 * most as u32]));
        assert!(!is_few(most + 1, &[1, 2]));
        assert!(!is_few(1, &[most as u32 + 1]));
        assert!(is_few(0, &[]));
    }
}
