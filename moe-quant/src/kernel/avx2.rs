//! Products of blocks by AVX2.

use std::arch::x86_64::*;
use std::array::from_fn;

use super::Sums;
use crate::rows::Block;
use crate::tile::{BLOCK, Columns, GROUPS, LANES, Tile};

/// Numbers in a vector: half of the columns of a tile.
const HALF: usize = LANES / 2;

#[target_feature(enable = "avx2,f16c")]
pub(super) fn round(blocks: &[[f32; BLOCK]]) -> Vec<Block> {
    blocks.iter().map(Block::round).collect()
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn pack<T: Tile>(columns: &Columns) -> T {
    T::round(columns)
}

/// The product of bytes sums two of them in 16 bits, which 255 * 127 * 2 would overflow. So the unsigned
/// factor is the weight's size, 127 at most, and its sign goes to the other.
#[target_feature(enable = "avx2,f16c")]
pub(super) fn sums<const R: usize, T: Tile>(rows: [&[Block]; R], tiles: &[T]) -> Sums<R> {
    let ones = _mm256_set1_epi16(1);
    let zero = _mm256_set1_epi8(T::ZERO as i8);
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for (b, tile) in tiles.iter().enumerate() {
        let mut dots = [[_mm256_setzero_si256(); 2]; R];
        for g in 0..GROUPS {
            let w = halves(&tile.group(g)).map(|w| _mm256_sub_epi8(w, zero));
            let sizes = w.map(|w| _mm256_abs_epi8(w));
            for (dots, row) in dots.iter_mut().zip(rows) {
                let x = _mm256_set1_epi32(row[b].groups[g]);
                for ((dot, w), size) in dots.iter_mut().zip(w).zip(sizes) {
                    let pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, w));
                    *dot = _mm256_add_epi32(*dot, _mm256_madd_epi16(pairs, ones));
                }
            }
        }
        let scales = scales(tile.scales());
        for ((sums, dots), row) in sums.iter_mut().zip(dots).zip(rows) {
            for ((sum, dot), scale) in sums.iter_mut().zip(dots).zip(scales) {
                let scale = _mm256_mul_ps(_mm256_set1_ps(row[b].scale), scale);
                // not fused: the bits are those of plain Rust
                *sum = _mm256_add_ps(*sum, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(dot)));
            }
        }
    }
    sums.map(|halves| numbers(halves))
}

#[target_feature(enable = "avx2")]
#[inline]
fn halves(group: &[u8; 64]) -> [__m256i; 2] {
    // SAFETY: both halves are 32 bytes long.
    from_fn(|h| unsafe { _mm256_loadu_si256((&raw const group[h * 32]).cast()) })
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn scales(scales: &[u16; LANES]) -> [__m256; 2] {
    // SAFETY: both halves are eight numbers of two bytes.
    from_fn(|h| unsafe { _mm256_cvtph_ps(_mm_loadu_si128((&raw const scales[h * HALF]).cast())) })
}

#[target_feature(enable = "avx2")]
#[inline]
fn numbers(halves: [__m256; 2]) -> [f32; LANES] {
    let mut numbers = [0.0; LANES];
    for (h, half) in halves.into_iter().enumerate() {
        // SAFETY: both halves are eight numbers long.
        unsafe { _mm256_storeu_ps(&raw mut numbers[h * HALF], half) };
    }
    numbers
}
