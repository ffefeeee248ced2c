//! The fused mixture feed-forward on slices, forward.
//!
//! One task a tile of an expert's rows: gather the tokens, project, activate with the gate folded in,
//! project back. Then every token sums its rows. No sum depends on the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::few_rows::{FewRows, is_few};
use super::kernel::{Fresh, Written, copy_past_caches, fresh, hidden_row, prefetch};
use super::tile::{TILE_ROWS, Tile, split_rows, tiles, with_scratch};
use super::weight::Weight;
use crate::{Activation, RowPlan};

/// The inputs of the mixture feed-forward; the backward pass is for weights in f32 alone.
pub(super) struct Ffn<'a, W = f32> {
    /// `[n_tokens, d_model]`.
    pub x: &'a [f32],
    /// `[n_experts, d_model, d_expert]`, if the activation is gated.
    pub gate: Option<&'a [W]>,
    /// `[n_experts, d_model, d_expert]`.
    pub up: &'a [W],
    /// `[n_experts, d_expert, d_model]`.
    pub down: &'a [W],
    /// `[n_assignments]`.
    pub gates: &'a [f32],
    pub plan: &'a RowPlan,
    pub activation: Activation,
    pub d_model: usize,
    pub d_expert: usize,
}

/// Pre-activations `[n_rows, d_expert]`; empty where there is no gate projection or nothing is kept.
#[derive(Default)]
pub(super) struct PreActivations {
    pub gate: Vec<f32>,
    pub up: Vec<f32>,
}

impl<W: Weight> Ffn<'_, W> {
    /// `[n_tokens, d_model]`, keeping nothing.
    pub fn forward(&self) -> Vec<f32> {
        self.run(&mut PreActivations::default())
    }

    /// `[n_tokens, d_model]`, with the pre-activations written to `pre`.
    pub fn forward_keeping(&self, pre: &mut PreActivations) -> Vec<f32> {
        let size = self.plan.n_rows() * self.d_expert;
        pre.up = vec![0.0; size];
        pre.gate = vec![0.0; if self.gate.is_some() { size } else { 0 }];
        self.run(pre)
    }

    fn run(&self, pre: &mut PreActivations) -> Vec<f32> {
        if is_few(self.plan.batch(), self.plan.ends()) {
            return self.run_few(pre);
        }
        let tiles = tiles(self.plan.ends(), TILE_ROWS);
        let width_of = |kept: &[f32]| if kept.is_empty() { 0 } else { self.d_expert };
        let [gate_width, up_width] = [width_of(&pre.gate), width_of(&pre.up)];
        with_scratch([self.plan.n_rows() * self.d_model], |[y_nd]| {
            tiles
                .par_iter()
                .zip(split_rows(y_nd, self.d_model, &tiles))
                .zip(split_rows(&mut pre.gate, gate_width, &tiles))
                .zip(split_rows(&mut pre.up, up_width, &tiles))
                .with_max_len(1)
                .for_each(|(((tile, y), gate), up)| self.forward_tile(tile, gate, up, y));
            self.sum_rows(y_nd)
        })
    }

    /// As [`run`](Self::run), all rows at once.
    fn run_few(&self, pre: &mut PreActivations) -> Vec<f32> {
        let [n, d, f] = [self.plan.n_rows(), self.d_model, self.d_expert];
        let PreActivations { gate, up } = pre;
        up.resize(n * f, 0.0);
        gate.resize(if self.gate.is_some() { n * f } else { 0 }, 0.0);
        let mut x = vec![0.0; n * d];
        self.gather(self.x, 0..n, 0..d, &mut x);
        match self.gate {
            Some(stack) => self.few(&x, d, f).products([stack, self.up], [gate, up]),
            None => self.few(&x, d, f).products([self.up], [up]),
        }
        let mut hidden = vec![0.0; n * f];
        self.hidden(0..n, gate, up, 0..f, &mut hidden, &[]);
        let mut y = vec![0.0; n * d];
        self.few(&hidden, f, d).products([self.down], [&mut y]);
        self.sum_rows(&y)
    }

    fn few<'a>(&'a self, x: &'a [f32], d_in: usize, d_out: usize) -> FewRows<'a> {
        FewRows {
            x,
            ends: self.plan.ends(),
            d_in,
            d_out,
        }
    }

    fn forward_tile(&self, tile: &Tile, gate: &mut [f32], up: &mut [f32], y: &mut [f32]) {
        let [r, d, f] = [tile.rows.len(), self.d_model, self.d_expert];
        let lent = |kept: &[f32], wanted| if kept.is_empty() && wanted { r * f } else { 0 };
        let lengths = [
            r * d,
            r * f,
            lent(gate, self.gate.is_some()),
            lent(up, true),
        ];
        with_scratch(lengths, |[x, hidden, gate_scratch, up_scratch]| {
            let gate = if gate.is_empty() { gate_scratch } else { gate };
            let up = if up.is_empty() { up_scratch } else { up };
            // comes from memory while the tokens are gathered and the gate projection is computed
            prefetch(self.matrix(self.up, tile.expert));
            self.gather(self.x, tile.rows.clone(), 0..d, x);
            if let Some(stack) = self.gate {
                let w = self.matrix(stack, tile.expert);
                W::product(gate, x, w, f);
            }
            let w = self.matrix(self.up, tile.expert);
            W::product(up, x, w, f);
            let w = self.matrix(self.down, tile.expert);
            self.hidden(tile.rows.clone(), gate, up, 0..f, hidden, w);
            // the tokens have been read, and their memory is in the caches
            W::product(x, hidden, w, d);
            copy_past_caches(x, y);
        });
    }

    /// Hidden columns of some rows, times each row's gate; the pre-activations start at the first row.
    ///
    /// Meanwhile `next`, the matrix that will multiply them, comes from memory, a part with each row, since the
    /// activation leaves the memory free; where it is empty, nothing does.
    pub(super) fn hidden(
        &self,
        rows: Range<usize>,
        gate: &[f32],
        up: &[f32],
        columns: Range<usize>,
        hidden: &mut [f32],
        next: &[W],
    ) {
        let mut next = next.chunks(next.len().div_ceil(rows.len().max(1)).max(1));
        for (i, out) in hidden.chunks_mut(columns.len()).enumerate() {
            let at = i * self.d_expert + columns.start..i * self.d_expert + columns.end;
            let gate = self.gate.map(|_| &gate[at.clone()]);
            prefetch(next.next().unwrap_or_default());
            hidden_row(
                self.activation,
                gate,
                &up[at],
                self.row_gate(rows.start + i),
                out,
            );
        }
    }

    pub(super) fn row_gate(&self, row: usize) -> f32 {
        self.gates[self.plan.rows_assignment()[row] as usize]
    }

    /// Columns of the tokens of some rows.
    pub(super) fn gather(
        &self,
        source: &[f32],
        rows: Range<usize>,
        columns: Range<usize>,
        out: &mut [f32],
    ) {
        let tokens = &self.plan.rows_token()[rows];
        for (out, &token) in out.chunks_mut(columns.len()).zip(tokens) {
            let start = token as usize * self.d_model;
            out.copy_from_slice(&source[start + columns.start..start + columns.end]);
        }
    }

    /// `[n_tokens, d_model]`: every token's rows, summed in ascending order.
    pub(super) fn sum_rows(&self, rows_nd: &[f32]) -> Vec<f32> {
        const TOKENS: usize = 32;
        let d = self.d_model;
        fresh(self.plan.n_tokens() * d, |out| {
            let blocks: Vec<Fresh<'_>> = out.chunks(TOKENS * d).collect();
            let blocks = blocks.into_par_iter().enumerate().map(|(i, block)| {
                let tokens = block.chunks(d).enumerate();
                let sums = tokens.map(|(j, out)| self.sum_rows_of(i * TOKENS + j, rows_nd, out));
                sums.fold(Written::none(), Written::and)
            });
            blocks.reduce(Written::none, Written::and)
        })
    }

    fn sum_rows_of<'o>(&self, token: usize, rows_nd: &[f32], mut out: Fresh<'o>) -> Written<'o> {
        // in ascending order of rows, whichever task computed them
        for &row in self.plan.rows_of_token(token) {
            out.add(&rows_nd[row as usize * self.d_model..(row as usize + 1) * self.d_model]);
        }
        out.finish()
    }

    pub(super) fn matrix<'s>(&self, stack: &'s [W], expert: usize) -> &'s [W] {
        let size = stack.len() / self.plan.n_experts();
        &stack[expert * size..(expert + 1) * size]
    }
}
