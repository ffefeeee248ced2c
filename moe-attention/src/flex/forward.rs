//! Attention tile by tile with a running softmax: arXiv 2205.14135, algorithm 1.
//!
//! A tile of queries holds all query heads of one key/value head, so that keys are read once for
//! the group. Scores are in base 2: `2^(s log2 e)` is `e^s`.

use std::f64::consts::LOG2_E;
use std::ops::Range;

use burn::backend::Flex;
use burn::tensor::{DType, Shape};
use burn_flex::FlexTensor;

use super::kernel::{Matrix, Write, product, row_exp2, row_max};
use super::lanes::LANES;
use super::rows::{Rows, Sizes, Turned, tasks, token_major, with_rows};
use super::run_all;
use crate::backend::{Attended, AttentionInputs};

/// Rows (positions times query heads of the group) a tile of queries: a multiple of the 6 columns
/// of the `gemm` micro-kernel, and few enough that it reads the keys without packing them.
const TILE_ROWS: usize = 48;
/// Keys a tile.
pub(super) const TILE_KEYS: usize = 512;

/// Computes the output and the base-2 logarithm of each row's softmax denominator.
pub(super) fn attend(inputs: &AttentionInputs<Flex>) -> Attended<Flex> {
    let sizes = Sizes::of(inputs);
    let [q, k, v] = [&inputs.q, &inputs.k, &inputs.v].map(with_rows);
    let several_tiles = sizes.length > tile_positions(sizes.group);
    let attention = Attention {
        sizes,
        q: Rows::of(&q),
        k: Rows::of(&k),
        v: Rows::of(&v),
        turned_k: several_tiles.then(|| Turned::of(Rows::of(&k), sizes)),
        scale: (inputs.scale * LOG2_E) as f32,
    };
    let rows = [sizes.batch, sizes.heads, sizes.length];
    let mut out = token_major([rows[0], rows[1], rows[2], sizes.value_width]);
    let mut lse = FlexTensor::empty(Shape::new(rows), DType::F32);
    let tiles = tiles(sizes, &mut out, &mut lse);
    run_all(tiles, sizes.work(), |scratch, tile| {
        attention.run(tile, scratch)
    });
    Attended { out, lse }
}

fn tiles<'a>(sizes: Sizes, out: &'a mut FlexTensor, lse: &'a mut FlexTensor) -> Vec<Tile<'a>> {
    let Sizes {
        kv_heads,
        group,
        length,
        ..
    } = sizes;
    let positions = tile_positions(group);
    let per_lane = length.div_ceil(positions);
    let lse_lanes = lse.storage_mut::<f32>().chunks_mut((length * group).max(1));
    let lse_tiles = lse_lanes.flat_map(|lane| lane.chunks_mut(positions * group));
    tasks(out, kv_heads, positions)
        .into_iter()
        .zip(lse_tiles)
        .enumerate()
        .map(|(i, (out, lse))| Tile {
            batch: i / per_lane / kv_heads,
            kv_head: i / per_lane % kv_heads,
            first: i % per_lane * positions,
            out,
            lse,
        })
        .collect()
}

/// Positions a tile of queries, whose rows are these positions in every query head of the group.
pub(super) fn tile_positions(group: usize) -> usize {
    (TILE_ROWS / group).max(1)
}

/// The length of a row of scores, padded for the vectorised operations.
pub(super) fn padded(keys: usize) -> usize {
    keys.next_multiple_of(LANES)
}

struct Attention<'a> {
    sizes: Sizes,
    q: Rows<'a>,
    k: Rows<'a>,
    v: Rows<'a>,
    /// The keys once more, if several tiles of queries use them.
    turned_k: Option<Turned>,
    /// The factor of base-2 scores.
    scale: f32,
}

/// The positions `first..first + out.len()` of one key/value head.
struct Tile<'a> {
    batch: usize,
    kv_head: usize,
    first: usize,
    /// The output of each position, `G * Dv` together.
    out: Vec<&'a mut [f32]>,
    /// `[positions, G]`
    lse: &'a mut [f32],
}

/// Buffers that a thread uses again for each tile; `R` rows.
#[derive(Default)]
struct Scratch {
    /// `[R, Dh]`
    queries: Vec<f32>,
    /// `[R, keys]`
    scores: Vec<f32>,
    /// `[R, Dv]`
    out: Vec<f32>,
    /// `[R]`, the largest score so far
    max: Vec<f32>,
    /// `[R]`, the sum of the weights so far
    sum: Vec<f32>,
}

impl Attention<'_> {
    fn run(&self, tile: Tile, scratch: &mut Scratch) {
        let Sizes {
            group,
            width,
            value_width,
            ..
        } = self.sizes;
        let rows = tile.out.len() * group;
        scratch.start(rows, value_width);
        self.load_queries(&tile, &mut scratch.queries);
        let values = self.v.head(tile.batch, tile.kv_head);
        let end = self.sizes.visible(tile.first + tile.out.len() - 1);
        // Each row attends keys of the first tile: windows start less than a tile apart.
        let begin = self.sizes.first_visible(tile.first);
        for from in (begin..end).step_by(TILE_KEYS) {
            let to = end.min(from + TILE_KEYS);
            let stride = padded(to - from);
            let queries = Matrix::new(&scratch.queries, rows, width, width);
            let scores = room(&mut scratch.scores, rows * stride);
            product(
                scores,
                stride,
                queries,
                self.keys(&tile, from..to),
                Write::Set,
            );
            let write = if from == begin {
                Write::Set
            } else {
                Write::Add
            };
            self.softmax(tile.first, from..to, write, scratch);
            let weights = Matrix::new(&scratch.scores, rows, to - from, stride);
            product(
                &mut scratch.out,
                value_width,
                weights,
                values.rows(from, to),
                write,
            );
        }
        self.finish(tile, scratch);
    }

    /// The keys of a range, `[Dh, keys]`.
    fn keys(&self, tile: &Tile, range: Range<usize>) -> Matrix<'_> {
        match &self.turned_k {
            Some(k) => k
                .head(tile.batch, tile.kv_head)
                .columns(range.start, range.end),
            None => {
                let k = self.k.head(tile.batch, tile.kv_head);
                k.rows(range.start, range.end).transposed()
            }
        }
    }

    fn load_queries(&self, tile: &Tile, queries: &mut Vec<f32>) {
        let group = self.sizes.group;
        queries.clear();
        for position in tile.first..tile.first + tile.out.len() {
            for head in tile.kv_head * group..(tile.kv_head + 1) * group {
                let row = self.q.row(tile.batch, head, position);
                queries.extend(row.iter().map(|x| x * self.scale));
            }
        }
    }

    /// Turns the scores of a tile of keys into weights relative to the largest score so far, and
    /// makes what was summed before relative to it as well.
    fn softmax(&self, first: usize, keys: Range<usize>, write: Write, scratch: &mut Scratch) {
        let Sizes {
            group,
            value_width: width,
            ..
        } = self.sizes;
        let stride = padded(keys.len());
        for r in 0..scratch.sum.len() {
            let row = &mut scratch.scores[r * stride..(r + 1) * stride];
            self.sizes.hide(row, first + r / group, &keys);
            let max = row_max(row).max(scratch.max[r]);
            let sum = row_exp2(row, max);
            // Nothing was summed before the first tile.
            let fade = if write == Write::Set {
                0.0
            } else {
                (scratch.max[r] - max).exp2()
            };
            scratch.max[r] = max;
            scratch.sum[r] = scratch.sum[r] * fade + sum;
            // A tile without a larger score leaves the sums as they are.
            if write == Write::Add && fade != 1.0 {
                scratch.out[r * width..(r + 1) * width]
                    .iter_mut()
                    .for_each(|x| *x *= fade);
            }
        }
    }

    fn finish(&self, tile: Tile, scratch: &Scratch) {
        let width = self.sizes.value_width;
        let rows = tile
            .out
            .into_iter()
            .flat_map(|position| position.chunks_exact_mut(width));
        for (r, row) in rows.enumerate() {
            let share = scratch.sum[r].recip();
            let from = &scratch.out[r * width..(r + 1) * width];
            row.iter_mut().zip(from).for_each(|(y, x)| *y = x * share);
            tile.lse[r] = scratch.max[r] + scratch.sum[r].log2();
        }
    }
}

impl Scratch {
    fn start(&mut self, rows: usize, width: usize) {
        // Not cleared: the first tile overwrites it.
        self.out.resize(rows * width, 0.0);
        self.sum.clear();
        self.sum.resize(rows, 0.0);
        self.max.clear();
        self.max.resize(rows, f32::NEG_INFINITY);
    }
}

/// The first `len` elements of a buffer that grows where it must; their values are stale.
pub(super) fn room(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}
