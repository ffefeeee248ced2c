//! The fused mixture feed-forward on slices, backward.
//!
//! The forward pass kept nothing but the pre-activations. The rest is recomputed, and they become
//! their own gradients in place:
//!
//! 1. `dW_down` of every expert, from recomputed hidden rows and gathered output gradients;
//! 2. per tile of rows, the gradients of gates, pre-activations and gathered tokens;
//! 3. `dW_up` and `dW_gate` of every expert, from gathered tokens and those gradients;
//! 4. every token sums the gradients of its rows.
//!
//! No sum depends on the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::forward::Ffn;
use super::kernel::{Mat, Written, fresh, hidden_row_backward};
use super::tile::{
    Piece, TILE_ROWS, Term, Tile, gemm_nt, nt_scratch, pieces, split_rows, tiles, with_scratch,
};

/// Gradients in the shapes of the inputs; `gate` is empty where there is no gate projection.
pub(super) struct FfnGrads {
    pub x: Vec<f32>,
    pub gate: Vec<f32>,
    pub up: Vec<f32>,
    pub down: Vec<f32>,
    pub gates: Vec<f32>,
}

impl Ffn<'_> {
    /// All gradients; `pre` becomes the gradient of the pre-activations.
    pub fn backward(&self, pre_gate: &mut [f32], pre_up: &mut [f32], d_out: &[f32]) -> FfnGrads {
        // first: the next step overwrites the pre-activations that this one reads
        let down = self.d_down(pre_gate, pre_up, d_out);
        let mut d_row_gates = vec![0.0; self.plan.n_rows()];
        let x = with_scratch([self.plan.n_rows() * self.d_model], |[dx_nd]| {
            self.d_pre(pre_gate, pre_up, d_out, dx_nd, &mut d_row_gates);
            self.sum_rows(dx_nd)
        });
        let up = self.d_in(pre_up);
        let gate = if self.gate.is_some() {
            self.d_in(pre_gate)
        } else {
            Vec::new()
        };
        // dropped assignments keep the zero
        let mut gates = vec![0.0; self.plan.n_assignments()];
        for (&a, &d) in self.plan.rows_assignment().iter().zip(&d_row_gates) {
            gates[a as usize] = d;
        }
        FfnGrads {
            x,
            gate,
            up,
            down,
            gates,
        }
    }

    /// Step 1: `dW_down_e = sum over rows n of e of hidden_n^T dout_n`, the hidden rows with their gate.
    fn d_down(&self, pre_gate: &[f32], pre_up: &[f32], d_out: &[f32]) -> Vec<f32> {
        fresh(self.down.len(), |d_down| {
            pieces(d_down, self.d_expert, self.d_model)
                .into_par_iter()
                .with_max_len(1)
                .map(|piece| self.d_down_piece(piece, pre_gate, pre_up, d_out))
                .reduce(Written::none, Written::and)
        })
    }

    fn d_down_piece<'w>(
        &self,
        piece: Piece<'w>,
        pre_gate: &[f32],
        pre_up: &[f32],
        d_out: &[f32],
    ) -> Written<'w> {
        let [d, f] = [self.d_model, self.d_expert];
        let (columns, mut d_down) = (piece.rows, piece.values);
        // run after run within one task, so that the sum over rows has one order
        for rows in self.chunks_of(piece.expert) {
            let pre = rows.start * f..rows.end * f;
            let gate = self.gate.map_or(pre_gate, |_| &pre_gate[pre.clone()]);
            let up = &pre_up[pre];
            let r = rows.len();
            with_scratch([r * columns.len(), r * d], |[hidden, dy]| {
                self.hidden(rows.clone(), gate, up, columns.clone(), hidden, &[]);
                self.gather(d_out, rows, 0..d, dy);
                let hidden = Mat::new(hidden, columns.len()).t();
                d_down.add_product(hidden, Mat::new(dy, d));
            });
        }
        d_down.finish()
    }

    /// Step 2: gradients of gates `[n_rows]`, of gathered tokens, and, in place, of pre-activations.
    fn d_pre(
        &self,
        pre_gate: &mut [f32],
        pre_up: &mut [f32],
        d_out: &[f32],
        dx_nd: &mut [f32],
        d_row_gates: &mut [f32],
    ) {
        let tiles = tiles(self.plan.ends(), TILE_ROWS);
        // rows of no width give every tile an empty slice
        let gate_width = if pre_gate.is_empty() {
            0
        } else {
            self.d_expert
        };
        tiles
            .par_iter()
            .zip(split_rows(pre_gate, gate_width, &tiles))
            .zip(split_rows(pre_up, self.d_expert, &tiles))
            .zip(split_rows(dx_nd, self.d_model, &tiles))
            .zip(split_rows(d_row_gates, 1, &tiles))
            .with_max_len(1)
            .for_each(|((((tile, gate), up), dx), d_gates)| {
                self.d_pre_tile(tile, gate, up, d_out, dx, d_gates);
            });
    }

    fn d_pre_tile(
        &self,
        tile: &Tile,
        gate: &mut [f32],
        up: &mut [f32],
        d_out: &[f32],
        dx: &mut [f32],
        d_gates: &mut [f32],
    ) {
        let [r, d, f] = [tile.rows.len(), self.d_model, self.d_expert];
        let nt = nt_scratch(r, f, d).max(nt_scratch(r, d, f));
        with_scratch([r * d, r * f, nt], |[dy, d_hidden, scratch]| {
            self.gather(d_out, tile.rows.clone(), 0..d, dy);
            let w = self.matrix(self.down, tile.expert);
            gemm_nt(d_hidden, f, d, &[Term { a: dy, w }], scratch);
            for (i, d_gate) in d_gates.iter_mut().enumerate() {
                let at = i * f..(i + 1) * f;
                let gate = self.gate.map(|_| &mut gate[at.clone()]);
                let [up, d_hidden] = [&mut up[at.clone()], &mut d_hidden[at]];
                let scale = self.row_gate(tile.rows.start + i);
                *d_gate = hidden_row_backward(self.activation, gate, up, d_hidden, scale);
            }
            let up_term = Term {
                a: up,
                w: self.matrix(self.up, tile.expert),
            };
            match self.gate {
                Some(stack) => {
                    let gate_term = Term {
                        a: gate,
                        w: self.matrix(stack, tile.expert),
                    };
                    gemm_nt(dx, d, f, &[gate_term, up_term], scratch);
                }
                None => gemm_nt(dx, d, f, &[up_term], scratch),
            }
        });
    }

    /// Step 3: `dW_e = sum over rows n of e of x_n^T dpre_n` for one of the projections of the tokens.
    fn d_in(&self, d_pre: &[f32]) -> Vec<f32> {
        fresh(self.up.len(), |d_w| {
            pieces(d_w, self.d_model, self.d_expert)
                .into_par_iter()
                .with_max_len(1)
                .map(|piece| self.d_in_piece(piece, d_pre))
                .reduce(Written::none, Written::and)
        })
    }

    fn d_in_piece<'w>(&self, piece: Piece<'w>, d_pre: &[f32]) -> Written<'w> {
        let f = self.d_expert;
        let (columns, mut d_w) = (piece.rows, piece.values);
        for rows in self.chunks_of(piece.expert) {
            let d_pre = &d_pre[rows.start * f..rows.end * f];
            with_scratch([rows.len() * columns.len()], |[x]| {
                self.gather(self.x, rows, columns.clone(), x);
                d_w.add_product(Mat::new(x, columns.len()).t(), Mat::new(d_pre, f));
            });
        }
        d_w.finish()
    }

    /// The expert's rows in runs that bound the scratch memory of a task.
    fn chunks_of(&self, expert: usize) -> impl Iterator<Item = Range<usize>> {
        let rows = self.plan.rows_of_expert(expert);
        let end = rows.end;
        rows.step_by(TILE_ROWS)
            .map(move |start| start..end.min(start + TILE_ROWS))
    }
}
