//! The gradients of attention tile by tile, probabilities computed anew from the saved
//! denominators: arXiv 2205.14135, algorithm 4.
//!
//! ```text
//! P = exp(S - lse)    dV = P^T dO    dS = P * (dO V^T - rowsum(dO * O))    dQ = dS K    dK = dS^T Q
//! ```

use std::f64::consts::{LN_2, LOG2_E};
use std::ops::Range;

use burn::backend::Flex;
use burn_flex::FlexTensor;

use super::forward::{TILE_KEYS, padded, room, tile_positions};
use super::kernel::{Matrix, Write, dot, product, row_grads};
use super::rows::{Rows, Sizes, Turned, tasks, token_major, with_rows};
use super::run_all;
use crate::backend::{Attended, AttentionGradients, AttentionInputs};

/// Computes the gradients of queries, keys and values, one key/value head a task.
pub(super) fn gradients(
    inputs: &AttentionInputs<Flex>,
    attended: &Attended<Flex>,
    grad: FlexTensor,
) -> AttentionGradients<Flex> {
    let sizes = Sizes::of(inputs);
    let [q, k, v] = [&inputs.q, &inputs.k, &inputs.v].map(with_rows);
    let [out, grad] = [&attended.out, &grad].map(with_rows);
    let pass = Pass {
        sizes,
        q: Rows::of(&q),
        k: Rows::of(&k),
        turned_k: Turned::of(Rows::of(&k), sizes),
        turned_v: Turned::of(Rows::of(&v), sizes),
        out: Rows::of(&out),
        grad: Rows::of(&grad),
        lse: attended.lse.storage::<f32>(),
        scale: inputs.scale,
    };
    let mut gradients = zero_gradients(sizes);
    let lanes = lanes(&mut gradients, sizes);
    run_all(lanes, sizes.work(), |scratch, lane| pass.run(lane, scratch));
    gradients
}

fn zero_gradients(sizes: Sizes) -> AttentionGradients<Flex> {
    let Sizes {
        batch,
        heads,
        kv_heads,
        length,
        keys,
        width,
        value_width,
        ..
    } = sizes;
    AttentionGradients {
        q: token_major([batch, heads, length, width]),
        k: token_major([batch, kv_heads, keys, width]),
        v: token_major([batch, kv_heads, keys, value_width]),
    }
}

/// The rows of the gradients by key/value head. One task sums all gradients of a key, tile after tile: the
/// order does not depend on the threads.
fn lanes(gradients: &mut AttentionGradients<Flex>, sizes: Sizes) -> Vec<Lane<'_>> {
    let AttentionGradients { q, k, v } = gradients;
    let kv_heads = sizes.kv_heads;
    tasks(q, kv_heads, sizes.length)
        .into_iter()
        .zip(tasks(k, kv_heads, sizes.keys))
        .zip(tasks(v, kv_heads, sizes.keys))
        .enumerate()
        .map(|(i, ((dq, dk), dv))| Lane {
            batch: i / kv_heads,
            kv_head: i % kv_heads,
            dq,
            dk,
            dv,
        })
        .collect()
}

struct Pass<'a> {
    sizes: Sizes,
    q: Rows<'a>,
    k: Rows<'a>,
    turned_k: Turned,
    turned_v: Turned,
    out: Rows<'a>,
    grad: Rows<'a>,
    /// `[B, Hkv, L, G]`, base 2
    lse: &'a [f32],
    scale: f64,
}

/// One key/value head and the query heads that it serves.
struct Lane<'a> {
    batch: usize,
    kv_head: usize,
    /// A row of `G * Dh` for each query position.
    dq: Vec<&'a mut [f32]>,
    /// A row of `Dh` for each key.
    dk: Vec<&'a mut [f32]>,
    /// A row of `Dv` for each key.
    dv: Vec<&'a mut [f32]>,
}

/// Buffers that a thread uses again for each lane; `R` rows a tile of queries.
#[derive(Default)]
struct Scratch {
    /// `[R, Dh]`, scaled for base-2 scores
    queries: Vec<f32>,
    /// `[R, Dv]`
    grads: Vec<f32>,
    /// `[R]`, `rowsum(dO * O)`
    delta: Vec<f32>,
    /// `[R, keys]`
    scores: Vec<f32>,
    /// `[R, keys]`
    score_grads: Vec<f32>,
    /// `[R, Dh]`
    dq: Vec<f32>,
    /// `[S, Dh]`
    dk: Vec<f32>,
    /// `[S, Dv]`
    dv: Vec<f32>,
}

impl Pass<'_> {
    fn run(&self, mut lane: Lane, scratch: &mut Scratch) {
        let Sizes {
            group,
            length,
            keys,
            width,
            value_width,
            ..
        } = self.sizes;
        zeros(&mut scratch.dk, keys * width);
        zeros(&mut scratch.dv, keys * value_width);
        let tile = tile_positions(group);
        for first in (0..length).step_by(tile) {
            let positions = first..length.min(first + tile);
            self.load(&lane, positions.clone(), scratch);
            self.tile(&lane, positions.clone(), scratch);
            store(&mut lane.dq[positions], &scratch.dq, self.scale as f32);
        }
        // The queries carry the scale and log2 e.
        store(&mut lane.dk, &scratch.dk, LN_2 as f32);
        store(&mut lane.dv, &scratch.dv, 1.0);
    }

    fn load(&self, lane: &Lane, positions: Range<usize>, scratch: &mut Scratch) {
        let group = self.sizes.group;
        let scale = (self.scale * LOG2_E) as f32;
        scratch.queries.clear();
        scratch.grads.clear();
        scratch.delta.clear();
        for position in positions {
            for head in lane.kv_head * group..(lane.kv_head + 1) * group {
                let query = self.q.row(lane.batch, head, position);
                let grad = self.grad.row(lane.batch, head, position);
                scratch.queries.extend(query.iter().map(|x| x * scale));
                scratch.grads.extend_from_slice(grad);
                scratch
                    .delta
                    .push(dot(grad, self.out.row(lane.batch, head, position)));
            }
        }
    }

    /// Adds what a tile of queries contributes to `dk` and `dv`, and sets its `dq`.
    fn tile(&self, lane: &Lane, positions: Range<usize>, scratch: &mut Scratch) {
        let Sizes {
            group,
            width,
            value_width,
            ..
        } = self.sizes;
        let rows = positions.len() * group;
        scratch.dq.resize(rows * width, 0.0);
        let end = self.sizes.visible(positions.end - 1);
        let begin = self.sizes.first_visible(positions.start);
        for from in (begin..end).step_by(TILE_KEYS) {
            let to = end.min(from + TILE_KEYS);
            let stride = padded(to - from);
            self.weights(lane, positions.start, from..to, scratch);
            let queries = Matrix::new(&scratch.queries, rows, width, width);
            let grads = Matrix::new(&scratch.grads, rows, value_width, value_width);
            let weights = Matrix::new(&scratch.scores, rows, to - from, stride);
            let score_grads = Matrix::new(&scratch.score_grads, rows, to - from, stride);
            let keys = self.k.head(lane.batch, lane.kv_head).rows(from, to);
            product(
                &mut scratch.dv[from * value_width..],
                value_width,
                weights.transposed(),
                grads,
                Write::Add,
            );
            product(
                &mut scratch.dk[from * width..],
                width,
                score_grads.transposed(),
                queries,
                Write::Add,
            );
            let write = if from == begin {
                Write::Set
            } else {
                Write::Add
            };
            product(&mut scratch.dq, width, score_grads, keys, write);
        }
    }

    /// Computes the weights of a tile and the gradients of their scores, in place of the scores
    /// and of the gradients of the weights.
    fn weights(&self, lane: &Lane, first: usize, range: Range<usize>, scratch: &mut Scratch) {
        let Sizes {
            group,
            width,
            value_width,
            ..
        } = self.sizes;
        let rows = scratch.delta.len();
        let stride = padded(range.len());
        let queries = Matrix::new(&scratch.queries, rows, width, width);
        let grads = Matrix::new(&scratch.grads, rows, value_width, value_width);
        let keys = self
            .turned_k
            .head(lane.batch, lane.kv_head)
            .columns(range.start, range.end);
        let values = self
            .turned_v
            .head(lane.batch, lane.kv_head)
            .columns(range.start, range.end);
        let scores = room(&mut scratch.scores, rows * stride);
        let score_grads = room(&mut scratch.score_grads, rows * stride);
        product(scores, stride, queries, keys, Write::Set);
        product(score_grads, stride, grads, values, Write::Set);
        let lse = &self.lse[self.lse_start(lane, first)..];
        for (r, (row, row_grad)) in scores
            .chunks_exact_mut(stride)
            .zip(score_grads.chunks_exact_mut(stride))
            .enumerate()
        {
            self.sizes.hide(row, first + r / group, &range);
            row_grads(row, row_grad, lse[r], scratch.delta[r]);
        }
    }

    fn lse_start(&self, lane: &Lane, position: usize) -> usize {
        let Sizes {
            kv_heads,
            length,
            group,
            ..
        } = self.sizes;
        ((lane.batch * kv_heads + lane.kv_head) * length + position) * group
    }
}

fn zeros(buffer: &mut Vec<f32>, len: usize) {
    buffer.clear();
    buffer.resize(len, 0.0);
}

/// Writes `factor * values`, whose rows lie one after the other, to `rows`.
fn store(rows: &mut [&mut [f32]], values: &[f32], factor: f32) {
    let mut rest = values;
    for row in rows {
        let (values, after) = rest.split_at(row.len());
        row.iter_mut()
            .zip(values)
            .for_each(|(y, x)| *y = x * factor);
        rest = after;
    }
}
