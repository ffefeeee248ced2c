//! Cutting grouped rows into tasks, scratch memory for a task, and the product with a transposed stack.
//!
//! The cuts depend on sizes alone, never on the number of threads, so results do not either.

use std::{cell::Cell, ops::Range};

use super::kernel::{Fresh, Mat, Write, gemm, transpose};
use crate::plan::block;

/// At most this many rows form one task: enough to amortise reading an expert's weights.
pub(super) const TILE_ROWS: usize = 512;

/// A weight gradient is cut into pieces of this many rows of the matrix.
pub(super) const TILE_IN: usize = 256;

/// Consecutive rows of one expert.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tile {
    pub expert: usize,
    pub rows: Range<usize>,
}

/// Cuts the rows of every expert into equal tiles of at most `height` rows; together they cover all rows.
pub(super) fn tiles(ends: &[u32], height: usize) -> Vec<Tile> {
    let of_expert = |expert| {
        let rows = block(ends, expert);
        let n_tiles = rows.len().div_ceil(height);
        (0..n_tiles).map(move |i| Tile {
            expert,
            // equal parts, not full tiles and a rest, so that no task ends long before the others
            rows: rows.start + rows.len() * i / n_tiles
                ..rows.start + rows.len() * (i + 1) / n_tiles,
        })
    };
    (0..ends.len()).flat_map(of_expert).collect()
}

/// Cuts a row-major buffer of `width` columns at the tiles.
pub(super) fn split_rows<'a>(
    mut buffer: &'a mut [f32],
    width: usize,
    tiles: &[Tile],
) -> Vec<&'a mut [f32]> {
    let cut = |tile: &Tile| {
        buffer
            .split_off_mut(..tile.rows.len() * width)
            .expect("tiles cover the buffer's rows")
    };
    tiles.iter().map(cut).collect()
}

/// A block of consecutive rows of one expert's matrix in a stack.
pub(super) struct Piece<'a> {
    pub expert: usize,
    pub rows: Range<usize>,
    pub values: Fresh<'a>,
}

/// Cuts a stack of matrices `[n_experts, height, width]` into pieces of at most [`TILE_IN`] rows.
pub(super) fn pieces<'a>(stack: Fresh<'a>, height: usize, width: usize) -> Vec<Piece<'a>> {
    let of_expert = |(expert, matrix): (usize, Fresh<'a>)| {
        let chunks = matrix.chunks(TILE_IN * width).enumerate();
        chunks.map(move |(i, values)| Piece {
            expert,
            rows: i * TILE_IN..i * TILE_IN + values.len() / width,
            values,
        })
    };
    stack
        .chunks(height * width)
        .enumerate()
        .flat_map(of_expert)
        .collect()
}

/// Lends the calling thread's scratch memory, cut into buffers of the given lengths.
///
/// The memory is kept from call to call, because fresh pages cost more than the arithmetic on
/// them. Its content is arbitrary. A nested call allocates its own.
pub(super) fn with_scratch<const N: usize, R>(
    lengths: [usize; N],
    work: impl FnOnce([&mut [f32]; N]) -> R,
) -> R {
    thread_local! {
        static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    }
    let total = lengths.iter().sum();
    let mut scratch = SCRATCH.take();
    if scratch.len() < total {
        // replaced and not grown: the content need not be copied
        scratch = vec![0.0; total];
    }
    let mut rest = &mut scratch[..];
    let result = work(lengths.map(|length| {
        rest.split_off_mut(..length)
            .expect("scratch holds all lengths")
    }));
    SCRATCH.set(scratch);
    result
}

/// Below this many rows it is cheaper to transpose the result than the weights.
const FEW_ROWS: usize = 64;

/// Length of the scratch buffer that [`gemm_nt`] needs for `[n_rows, d_out]` times `[d_in, d_out]^T`.
pub(super) fn nt_scratch(n_rows: usize, d_in: usize, d_out: usize) -> usize {
    if n_rows < FEW_ROWS {
        n_rows * d_in
    } else {
        d_in * d_out
    }
}

/// One term `a w^T` of a sum of products; `a` is `[n_rows, d_out]`, `w` is `[d_in, d_out]`.
pub(super) struct Term<'a> {
    pub a: &'a [f32],
    pub w: &'a [f32],
}

/// `dst [n_rows, d_in] = sum of a w^T`.
///
/// The matrix product reads a transposed right factor slowly, so either the weights are transposed
/// first or, for few rows, the product `w a^T` is formed and transposed afterwards.
pub(super) fn gemm_nt(
    dst: &mut [f32],
    d_in: usize,
    d_out: usize,
    terms: &[Term<'_>],
    scratch: &mut [f32],
) {
    let n_rows = dst.len() / d_in;
    let scratch = &mut scratch[..nt_scratch(n_rows, d_in, d_out)];
    let mut write = Write::Set;
    for Term { a, w } in terms {
        if n_rows < FEW_ROWS {
            gemm(scratch, Mat::new(w, d_out), Mat::new(a, d_out).t(), write);
        } else {
            transpose(w, d_out, scratch);
            gemm(dst, Mat::new(a, d_out), Mat::new(scratch, d_in), write);
        }
        write = Write::Add;
    }
    if n_rows < FEW_ROWS {
        // once, since all terms were added in the transposed form
        transpose(scratch, n_rows, dst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grouped::cpu::kernel::{Written, fresh};

    #[test]
    fn tiles_are_even_and_cover_all_rows() {
        // 5 rows in tiles of at most 2: 3 tiles of 1, 2, 2 rows; expert 1 has none.
        let cut = tiles(&[5, 5, 7], 2);
        let rows: Vec<_> = cut.iter().map(|t| t.rows.clone()).collect();
        assert_eq!(rows, [0..1, 1..3, 3..5, 5..7]);
        assert_eq!(cut.last().map(|t| t.expert), Some(2));

        let mut buffer: Vec<f32> = (0..14).map(|i| i as f32).collect();
        let parts = split_rows(&mut buffer, 2, &cut);
        assert_eq!(parts[1], [2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn pieces_cover_every_matrix() {
        fresh(2 * 300 * 3, |stack| {
            let cut = pieces(stack, 300, 3);
            let places: Vec<_> = cut.iter().map(|p| (p.expert, p.rows.clone())).collect();
            assert_eq!(
                places,
                [(0, 0..256), (0, 256..300), (1, 0..256), (1, 256..300)]
            );
            assert!(cut.iter().all(|p| p.values.len() == p.rows.len() * 3));
            let parts = cut.into_iter().map(|piece| piece.values.finish());
            parts.fold(Written::none(), Written::and)
        });
    }

    #[test]
    fn transposed_product_with_few_and_many_rows() {
        // w = [1 2; 3 4; 5 6] as [d_in 3, d_out 2]; the row [1 1] gives [3 7 11], twice summed [6 14 22].
        let w = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        for n_rows in [1, FEW_ROWS - 1, FEW_ROWS, FEW_ROWS + 1] {
            let a = vec![1.0; n_rows * 2];
            let mut dst = vec![0.0; n_rows * 3];
            let mut scratch = vec![0.0; nt_scratch(n_rows, 3, 2)];
            let term = || Term { a: &a, w: &w };
            gemm_nt(&mut dst, 3, 2, &[term(), term()], &mut scratch);
            assert!(dst.chunks(3).all(|row| row == [6.0, 14.0, 22.0]));
        }
    }
}
