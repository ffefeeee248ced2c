//! The grouped matrix product on slices: one task a tile of rows, or a piece of a weight gradient.

use rayon::prelude::*;

use super::few_rows::{FewRows, is_few};
use super::kernel::{Mat, Written, fresh};
use super::tile::{
    Piece, TILE_ROWS, Term, gemm_nt, nt_scratch, pieces, split_rows, tiles, with_scratch,
};
use super::weight::Weight;
use crate::plan::block;

/// Rows grouped by expert times a stack of matrices; the gradients are for weights in f32 alone.
pub(super) struct Product<'a, W = f32> {
    /// `[n_rows, d_in]`, sorted by expert.
    pub x: &'a [f32],
    /// `[n_experts, d_in, d_out]`.
    pub w: &'a [W],
    /// `[n_experts]`, cumulative row ends.
    pub ends: &'a [u32],
    pub d_in: usize,
    pub d_out: usize,
}

impl<W: Weight> Product<'_, W> {
    /// `[n_rows, d_out]`: `y_n = x_n W_e` for the expert `e` of row `n`.
    pub fn forward(&self) -> Vec<f32> {
        let mut y = vec![0.0; self.x.len() / self.d_in * self.d_out];
        if is_few(self.x.len() / self.d_in, self.ends) {
            self.few().products([self.w], [&mut y]);
            return y;
        }
        let tiles = tiles(self.ends, TILE_ROWS);
        let parts = split_rows(&mut y, self.d_out, &tiles);
        tiles
            .par_iter()
            .zip(parts)
            .with_max_len(1)
            .for_each(|(tile, y)| {
                let x = &self.x[tile.rows.start * self.d_in..tile.rows.end * self.d_in];
                W::product(y, x, self.matrix(tile.expert), self.d_out);
            });
        y
    }

    fn few(&self) -> FewRows<'_> {
        FewRows {
            x: self.x,
            ends: self.ends,
            d_in: self.d_in,
            d_out: self.d_out,
        }
    }

    fn matrix(&self, expert: usize) -> &[W] {
        let size = self.w.len() / self.ends.len();
        &self.w[expert * size..(expert + 1) * size]
    }
}

impl Product<'_> {
    /// `[n_rows, d_in]`: `dx_n = dy_n W_e^T`.
    pub fn d_x(&self, d_y: &[f32]) -> Vec<f32> {
        let tiles = tiles(self.ends, TILE_ROWS);
        let mut d_x = vec![0.0; self.x.len()];
        let parts = split_rows(&mut d_x, self.d_in, &tiles);
        tiles
            .par_iter()
            .zip(parts)
            .with_max_len(1)
            .for_each(|(tile, d_x)| {
                let a = &d_y[tile.rows.start * self.d_out..tile.rows.end * self.d_out];
                let w = self.matrix(tile.expert);
                with_scratch(
                    [nt_scratch(tile.rows.len(), self.d_in, self.d_out)],
                    |[scratch]| gemm_nt(d_x, self.d_in, self.d_out, &[Term { a, w }], scratch),
                );
            });
        d_x
    }

    /// `[n_experts, d_in, d_out]`: `dW_e = sum over rows n of e of x_n^T dy_n`.
    pub fn d_w(&self, d_y: &[f32]) -> Vec<f32> {
        fresh(self.w.len(), |d_w| {
            pieces(d_w, self.d_in, self.d_out)
                .into_par_iter()
                .with_max_len(1)
                .map(|piece| self.d_w_piece(piece, d_y))
                .reduce(Written::none, Written::and)
        })
    }

    fn d_w_piece<'w>(&self, mut piece: Piece<'w>, d_y: &[f32]) -> Written<'w> {
        let rows = block(self.ends, piece.expert);
        if !rows.is_empty() {
            let x = &self.x[rows.start * self.d_in..rows.end * self.d_in];
            let d_y = &d_y[rows.start * self.d_out..rows.end * self.d_out];
            let x = Mat::new(x, self.d_in).columns(piece.rows).t();
            piece.values.add_product(x, Mat::new(d_y, self.d_out));
        }
        // zeros, if the expert has no rows
        piece.values.finish()
    }
}
