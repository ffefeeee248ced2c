//! Products of blocks in plain Rust, which the others are held to.

use burn::tensor::f16;

use super::Sums;
use crate::rows::Block;
use crate::tile::{GROUP, LANES, Tile};

pub(super) fn sums<const R: usize, T: Tile>(rows: [&[Block]; R], tiles: &[T]) -> Sums<R> {
    let mut sums = [[0f32; LANES]; R];
    for (b, tile) in tiles.iter().enumerate() {
        let scales = tile.scales().map(|scale| f16::from_bits(scale).to_f32());
        for (sums, row) in sums.iter_mut().zip(rows) {
            let dots = dots(&row[b], tile);
            for ((sum, dot), scale) in sums.iter_mut().zip(dots).zip(scales) {
                *sum += row[b].scale * scale * dot as f32;
            }
        }
    }
    sums
}

/// The sums of products of whole numbers: those of bytes without their zero, and then the zero's share.
#[inline(always)]
fn dots<T: Tile>(x: &Block, tile: &T) -> [i32; LANES] {
    let mut dots = [-i32::from(T::ZERO) * x.sum; LANES];
    for (g, x) in x.groups.iter().enumerate() {
        let group = tile.group(g);
        let (quads, _) = group.as_chunks::<GROUP>();
        let mut words = [0; LANES];
        for (word, quad) in words.iter_mut().zip(quads) {
            *word = u32::from_le_bytes(*quad);
        }
        // one weight of every column at a time, which compilers make vectors of
        for (i, x) in x.to_le_bytes().into_iter().enumerate() {
            let x = i32::from(x as i8);
            for (dot, word) in dots.iter_mut().zip(words) {
                *dot += (word >> (8 * i) & 255) as i32 * x;
            }
        }
    }
    dots
}
