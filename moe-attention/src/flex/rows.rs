//! Views of tensors `[B,H,L,Dh]` whose rows of `Dh` are contiguous and lie in any order, and the
//! cutting of an output into the rows of each task.

use std::ops::Range;

use burn::backend::Flex;
use burn::tensor::{DType, Shape};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

use super::kernel::Matrix;
use crate::backend::AttentionInputs;

/// The sizes of one attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub batch: usize,
    pub heads: usize,
    pub kv_heads: usize,
    /// Query heads a key/value head.
    pub group: usize,
    pub length: usize,
    pub keys: usize,
    /// The width of a query and of a key.
    pub width: usize,
    /// The width of a value and of an output.
    pub value_width: usize,
    /// The most keys that a query attends.
    pub window: usize,
}

impl Sizes {
    pub fn of(inputs: &AttentionInputs<Flex>) -> Self {
        let [batch, heads, length, width] = inputs.q.layout().shape().dims();
        let [_, kv_heads, keys, value_width] = inputs.v.layout().shape().dims();
        let group = heads / kv_heads;
        Self {
            batch,
            heads,
            kv_heads,
            group,
            length,
            keys,
            width,
            value_width,
            window: inputs.window.unwrap_or(usize::MAX),
        }
    }

    /// The end of the keys that the query at `position` attends.
    pub fn visible(&self, position: usize) -> usize {
        self.keys - self.length + position + 1
    }

    /// The first key that the query at `position` attends.
    pub fn first_visible(&self, position: usize) -> usize {
        self.visible(position).saturating_sub(self.window)
    }

    /// Hides the scores, one a key of `keys`, of those that the query at `position` does not
    /// attend.
    pub fn hide(&self, scores: &mut [f32], position: usize, keys: &Range<usize>) {
        let here = |key: usize| key.saturating_sub(keys.start).min(keys.len());
        scores[..here(self.first_visible(position))].fill(f32::NEG_INFINITY);
        scores[here(self.visible(position))..].fill(f32::NEG_INFINITY);
    }

    /// Multiply-adds, to tell work that is worth several threads.
    pub fn work(&self) -> usize {
        self.batch * self.heads * self.length * self.keys * (self.width + self.value_width)
    }
}

/// The tensor itself if its rows are contiguous, or else a copy.
pub(super) fn with_rows(x: &FlexTensor) -> FlexTensor {
    let strides = x.layout().strides();
    let [.., width] = x.layout().shape().dims::<4>();
    // Rows are slices from an offset on, which a negative stride would leave.
    let in_place = (strides[3] == 1 || width == 1) && strides.iter().all(|&stride| stride >= 0);
    if in_place {
        x.clone()
    } else {
        x.to_contiguous()
    }
}

/// Read access to the rows of a tensor.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    data: &'a [f32],
    batch: usize,
    head: usize,
    position: usize,
    length: usize,
    width: usize,
}

impl<'a> Rows<'a> {
    /// Views a tensor that went through [`with_rows`].
    pub fn of(x: &'a FlexTensor) -> Self {
        let layout = x.layout();
        let stride = |axis: usize| layout.strides()[axis] as usize;
        let [_, _, length, width] = layout.shape().dims();
        Self {
            data: &x.storage::<f32>()[layout.start_offset()..],
            batch: stride(0),
            head: stride(1),
            position: stride(2),
            length,
            width,
        }
    }

    pub fn row(&self, batch: usize, head: usize, position: usize) -> &'a [f32] {
        let start = batch * self.batch + head * self.head + position * self.position;
        &self.data[start..start + self.width]
    }

    /// All rows of one head.
    pub fn head(&self, batch: usize, head: usize) -> Matrix<'a> {
        let start = batch * self.batch + head * self.head;
        Matrix::new(&self.data[start..], self.length, self.width, self.position)
    }
}

/// Rows whose coordinates are gathered together: what a cache line holds.
const TURNED_ROWS: usize = 16;

/// A copy of the rows of every head with their coordinates one after the other, `[B,Hkv,Dh,S]`:
/// products with a tile of keys then read memory in order, tile after tile.
pub(super) struct Turned {
    data: Vec<f32>,
    kv_heads: usize,
    keys: usize,
    width: usize,
}

impl Turned {
    pub fn of(x: Rows, sizes: Sizes) -> Self {
        let (batch, kv_heads) = (sizes.batch, sizes.kv_heads);
        let (keys, width) = (x.length, x.width);
        let mut data = vec![0.0; batch * kv_heads * width * keys];
        data.par_chunks_exact_mut((width * keys).max(1))
            .enumerate()
            .for_each(|(lane, out)| {
                for from in (0..keys).step_by(TURNED_ROWS) {
                    let to = keys.min(from + TURNED_ROWS);
                    let rows = |key| x.row(lane / kv_heads, lane % kv_heads, key);
                    let rows: Vec<&[f32]> = (from..to).map(rows).collect();
                    for (i, out) in out.chunks_exact_mut(keys).enumerate() {
                        out[from..to]
                            .iter_mut()
                            .zip(&rows)
                            .for_each(|(y, row)| *y = row[i]);
                    }
                }
            });
        Self {
            data,
            kv_heads,
            keys,
            width,
        }
    }

    /// The `[Dh, S]` of one head.
    pub fn head(&self, batch: usize, kv_head: usize) -> Matrix<'_> {
        let start = (batch * self.kv_heads + kv_head) * self.width * self.keys;
        Matrix::new(&self.data[start..], self.width, self.keys, self.keys)
    }
}

/// A tensor `[B,H,L,Dh]` of zeros that lies in memory as `[B,L,H,Dh]`, so that joining the heads
/// of each token is free.
pub(super) fn token_major([batch, heads, length, width]: [usize; 4]) -> FlexTensor {
    let memory = FlexTensor::empty(Shape::new([batch, length, heads, width]), DType::F32);
    let [row, token] = [width, heads * width].map(|n| n as isize);
    let strides = vec![length as isize * token, row, token, 1];
    let shape = Shape::new([batch, heads, length, width]);
    memory.with_layout(Layout::new(shape, strides, 0))
}

/// Cuts the memory of a [`token_major`] tensor into tasks: `rows` tokens of one of `lanes` equal
/// parts of the heads each. Tasks are ordered by batch, lane, then tokens.
pub(super) fn tasks(x: &mut FlexTensor, lanes: usize, rows: usize) -> Vec<Vec<&mut [f32]>> {
    let [batch, heads, length, width] = x.layout().shape().dims();
    let per_lane = length.div_ceil(rows);
    let mut tasks: Vec<_> = (0..batch * lanes * per_lane)
        .map(|_| Vec::with_capacity(rows.min(length)))
        .collect();
    let part = heads / lanes * width;
    for (i, chunk) in x.storage_mut::<f32>().chunks_exact_mut(part).enumerate() {
        let (token, lane) = (i / lanes, i % lanes);
        let (batch, position) = (token / length, token % length);
        tasks[(batch * lanes + lane) * per_lane + position / rows].push(chunk);
    }
    tasks
}
