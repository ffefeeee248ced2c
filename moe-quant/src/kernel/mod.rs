//! The one module with `unsafe`: calls into vector instructions.
//!
//! Everything it exports is safe: an instruction set is used only after the processor was asked for it, and
//! all sets give the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod plain;
#[cfg(target_arch = "x86_64")]
mod vnni;

use crate::rows::Block;
use crate::tile::{BLOCK, Columns, LANES, Tile};

/// At most this many rows meet a tile in one pass over it.
const MAX_ROWS: usize = 8;

/// The sums of some rows for 16 columns.
type Sums<const R: usize> = [[f32; LANES]; R];

/// A set of instructions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Instructions {
    /// Those that every processor has.
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with the product of bytes.
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl Instructions {
    /// The sets that the processor has, the fastest first.
    fn all() -> impl Iterator<Item = Self> {
        let sets = [
            #[cfg(target_arch = "x86_64")]
            (
                Self::Vnni,
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vnni"),
            ),
            #[cfg(target_arch = "x86_64")]
            (
                Self::Avx2,
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c"),
            ),
            (Self::Plain, true),
        ];
        sets.into_iter().filter_map(|(set, has)| has.then_some(set))
    }

    fn best() -> Self {
        Self::all().next().unwrap_or(Self::Plain)
    }

    /// The sums of `R` rows for the columns of `tiles`, which are the blocks of those rows.
    #[inline(always)]
    fn sums<const R: usize, T: Tile>(self, rows: [&[Block]; R], tiles: &[T]) -> Sums<R> {
        assert!(rows.iter().all(|row| row.len() == tiles.len()));
        match self {
            Self::Plain => plain::sums(rows, tiles),
            // SAFETY: a value of this kind is made by `all` alone, after the processor has said that it has them.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2::sums(rows, tiles) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => unsafe { vnni::sums(rows, tiles) },
        }
    }
}

/// Rows times some columns of a matrix, `columns [n_columns / 16, n_blocks]` of tiles.
///
/// `dst` begins at the first of the columns of the first row, `stride` after which the next row begins, and
/// `width` is the number of columns that are wanted.
///
/// # Panics
///
/// Panics if the sizes disagree.
pub(crate) fn product<T: Tile>(
    dst: &mut [f32],
    stride: usize,
    width: usize,
    rows: &[Block],
    columns: std::slice::ChunksExact<'_, T>,
) {
    let set = Instructions::best();
    for (t, tiles) in columns.enumerate() {
        let n_blocks = tiles.len();
        let width = LANES.min(width - t * LANES);
        for (r, rows) in rows.chunks(MAX_ROWS * n_blocks).enumerate() {
            let dst = &mut dst[r * MAX_ROWS * stride + t * LANES..];
            let dst = dst.chunks_mut(stride).map(|dst| &mut dst[..width]);
            match rows.len() / n_blocks {
                1 => put::<1, T>(set, dst, rows, tiles),
                2 => put::<2, T>(set, dst, rows, tiles),
                3 => put::<3, T>(set, dst, rows, tiles),
                4 => put::<4, T>(set, dst, rows, tiles),
                5 => put::<5, T>(set, dst, rows, tiles),
                6 => put::<6, T>(set, dst, rows, tiles),
                7 => put::<7, T>(set, dst, rows, tiles),
                _ => put::<MAX_ROWS, T>(set, dst, rows, tiles),
            }
        }
    }
}

/// The sums of `R` rows, put where they go.
fn put<'d, const R: usize, T: Tile>(
    set: Instructions,
    dst: impl Iterator<Item = &'d mut [f32]>,
    rows: &[Block],
    tiles: &[T],
) {
    let n = tiles.len();
    let sums = set.sums::<R, T>(std::array::from_fn(|r| &rows[r * n..(r + 1) * n]), tiles);
    for (dst, sums) in dst.zip(&sums) {
        dst.copy_from_slice(&sums[..dst.len()]);
    }
}

/// [`Block::round`] of each block, by vectors where the processor has them.
pub(crate) fn round(blocks: &[[f32; BLOCK]]) -> Vec<Block> {
    #[cfg(target_arch = "x86_64")]
    if Instructions::all().any(|set| set == Instructions::Avx2) {
        // SAFETY: the processor has just said that it has them.
        return unsafe { avx2::round(blocks) };
    }
    blocks.iter().map(Block::round).collect()
}

/// [`Sealed::round`](crate::tile::Sealed::round), by vectors where the processor has them.
pub(crate) fn pack<T: Tile>(columns: &Columns) -> T {
    #[cfg(target_arch = "x86_64")]
    if Instructions::all().any(|set| set == Instructions::Avx2) {
        // SAFETY: the processor has just said that it has them.
        return unsafe { avx2::pack(columns) };
    }
    T::round(columns)
}

#[cfg(test)]
mod tests;
