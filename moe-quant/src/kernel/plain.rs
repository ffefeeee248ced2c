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
fn dots<T: Tile>(x: &Block, tile: &T) -> [i32; LANES] {
    let mut dots = [-i32::from(T::ZERO) * x.sum; LANES];
    for (g, x) in x.groups.iter().enumerate() {
        let w = tile.group(g);
        let x = x.to_le_bytes().map(|x| x as i8);
        // the products of all lanes first, which is what compilers make vectors of
        let products: [i16; LANES * GROUP] =
            std::array::from_fn(|at| i16::from(w[at]) * i16::from(x[at % GROUP]));
        let (quads, _) = products.as_chunks::<GROUP>();
        for (dot, quad) in dots.iter_mut().zip(quads) {
            *dot += quad.iter().map(|&product| i32::from(product)).sum::<i32>();
        }
    }
    dots
}
