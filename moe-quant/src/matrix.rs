//! A matrix of tiles.

use rayon::prelude::*;

use crate::kernel;
use crate::tile::{BLOCK, Columns, LANES, Tile, weight};

/// A matrix `[d_in, d_out]` in tiles: those of the first 16 columns from top to bottom, then those of the next.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    tiles: &'a [T],
    n_blocks: usize,
    d_out: usize,
}

impl<'a, T: Tile> Matrix<'a, T> {
    /// The matrix of some tiles.
    ///
    /// # Panics
    ///
    /// Panics if the tiles are not those of `d_out` columns.
    pub fn new(tiles: &'a [T], d_out: usize) -> Self {
        let wide = d_out.div_ceil(LANES);
        assert!(
            wide > 0 && !tiles.is_empty() && tiles.len().is_multiple_of(wide),
            "{} tiles are no matrix of {d_out} columns",
            tiles.len()
        );
        Self {
            tiles,
            n_blocks: tiles.len() / wide,
            d_out,
        }
    }

    /// The number of inputs.
    pub fn d_in(&self) -> usize {
        self.n_blocks * BLOCK
    }

    /// The number of outputs.
    pub fn d_out(&self) -> usize {
        self.d_out
    }

    pub(crate) fn n_blocks(&self) -> usize {
        self.n_blocks
    }

    /// The matrix in parts of some columns, of about so many bytes each.
    pub(crate) fn split(&self, bytes: usize) -> impl Iterator<Item = Self> + use<'a, T> {
        let Self {
            tiles,
            n_blocks,
            d_out,
        } = *self;
        let wide = (bytes / (n_blocks * size_of::<T>())).max(1);
        let parts = tiles.chunks(wide * n_blocks).enumerate();
        parts.map(move |(i, tiles)| Self {
            tiles,
            n_blocks,
            d_out: (wide * LANES).min(d_out - i * wide * LANES),
        })
    }

    /// The tiles of 16 columns each, from top to bottom.
    pub(crate) fn columns(&self) -> std::slice::ChunksExact<'a, T> {
        self.tiles.chunks_exact(self.n_blocks)
    }

    /// The weights `[d_in, d_out]`.
    pub fn weights(&self) -> Vec<f32> {
        let mut weights = vec![0.0; self.d_in() * self.d_out];
        for (t, tiles) in self.columns().enumerate() {
            let first = t * LANES;
            for (i, row) in weights.chunks_exact_mut(self.d_out).enumerate() {
                for (lane, w) in row[first..].iter_mut().take(LANES).enumerate() {
                    *w = weight(&tiles[i / BLOCK], lane, i % BLOCK);
                }
            }
        }
        weights
    }
}

/// Rounds a matrix `[d_in, d_out]` to tiles, by all threads.
///
/// # Panics
///
/// Panics if `d_in` is no multiple of 32, or if the rows are not whole.
pub fn pack<T: Tile>(w: &[f32], d_out: usize) -> Vec<T> {
    assert!(
        d_out > 0 && w.len().is_multiple_of(d_out * BLOCK),
        "{} numbers are no blocks of {BLOCK} rows of {d_out}",
        w.len()
    );
    let n_blocks = w.len() / d_out / BLOCK;
    let n_tiles = d_out.div_ceil(LANES) * n_blocks;
    (0..n_tiles)
        .into_par_iter()
        .map(|t| {
            let first = t / n_blocks * LANES;
            let rows = &w[t % n_blocks * BLOCK * d_out..];
            // columns beyond the last are zeros
            let mut columns: Columns = [[0.0; BLOCK]; LANES];
            for (i, row) in rows.chunks_exact(d_out).take(BLOCK).enumerate() {
                for (column, w) in columns.iter_mut().zip(&row[first..]) {
                    column[i] = *w;
                }
            }
            kernel::pack(&columns)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Q4Tile, Q8Tile};

    /// A matrix whose every block of inputs spans -8 to 7 in whole numbers, with 8 its largest at each place.
    fn whole(d_in: usize, d_out: usize) -> Vec<f32> {
        let at = |i: usize| ((i % d_out + i / d_out) % 16) as f32 - 8.0;
        (0..d_in * d_out).map(at).collect()
    }

    #[test]
    fn four_bits_hold_sixteen_whole_numbers() {
        // each block has a -8, so the step is one
        for (d_in, d_out) in [(32, 1), (64, 16), (96, 37)] {
            let w = whole(d_in, d_out);
            let tiles: Vec<Q4Tile> = pack(&w, d_out);
            let matrix = Matrix::new(&tiles, d_out);
            assert_eq!((matrix.d_in(), matrix.d_out()), (d_in, d_out));
            assert_eq!(matrix.weights(), w);
        }
    }

    #[test]
    fn eight_bits_are_within_half_a_step() {
        let w = whole(64, 21);
        let tiles: Vec<Q8Tile> = pack(&w, 21);
        // half of the step 8 / 127, and 2^-11 of the weight for the scale in f16
        for (held, w) in Matrix::new(&tiles, 21).weights().iter().zip(&w) {
            assert!((held - w).abs() <= 4.0 / 127.0 + w.abs() / 2048.0);
        }
    }

    /// What was read from a file in these blocks is held as it was.
    #[test]
    fn rounding_again_changes_nothing() {
        fn check<T: Tile>() {
            let w: Vec<f32> = (0..96 * 37)
                .map(|i| (i as f32 * 0.37).sin() * 0.02)
                .collect();
            let once = pack::<T>(&w, 37);
            let once = Matrix::new(&once, 37).weights();
            assert_ne!(once, w);
            let again = pack::<T>(&once, 37);
            assert_eq!(Matrix::new(&again, 37).weights(), once);
        }
        check::<Q8Tile>();
        check::<Q4Tile>();
    }

    #[test]
    #[should_panic(expected = "are no blocks of 32 rows of 3")]
    fn rows_are_whole_blocks() {
        pack::<Q8Tile>(&[0.0; 33 * 3], 3);
    }

    #[test]
    #[should_panic(expected = "3 tiles are no matrix of 32 columns")]
    fn tiles_are_whole_columns() {
        Matrix::new(&[bytemuck::Zeroable::zeroed(); 3] as &[Q8Tile], 32);
    }
}
