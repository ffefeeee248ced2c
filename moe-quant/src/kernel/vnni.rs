//! Products of blocks by AVX-512 VNNI: 64 bytes a step, a weight's without a sign.

use std::arch::x86_64::*;
use std::array::from_fn;

use super::Sums;
use crate::rows::Block;
use crate::tile::{GROUPS, LANES, Tile};

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn sums<const R: usize, T: Tile>(rows: [&[Block]; R], tiles: &[T]) -> Sums<R> {
    let mut sums = [_mm512_setzero_ps(); R];
    for (b, tile) in tiles.iter().enumerate() {
        // SAFETY: the caller has seen that rows have as many blocks as there are tiles.
        let x: [&Block; R] = rows.map(|row| unsafe { row.get_unchecked(b) });
        let zero = i32::from(T::ZERO);
        let mut dots: [__m512i; R] = from_fn(|r| _mm512_set1_epi32(-zero * x[r].sum));
        for g in 0..GROUPS {
            let w = tile.group(g);
            // SAFETY: a group has 64 bytes.
            let w = unsafe { _mm512_loadu_si512(w.as_ptr().cast()) };
            for (dot, x) in dots.iter_mut().zip(x) {
                *dot = _mm512_dpbusd_epi32(*dot, w, _mm512_set1_epi32(x.groups[g]));
            }
        }
        // SAFETY: the scales are 16 numbers of two bytes.
        let scales = unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(tile.scales().as_ptr().cast())) };
        for ((sum, dot), x) in sums.iter_mut().zip(dots).zip(x) {
            let scale = _mm512_mul_ps(_mm512_set1_ps(x.scale), scales);
            // not fused: the bits are those of plain Rust
            *sum = _mm512_add_ps(*sum, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(dot)));
        }
    }
    sums.map(|sum| {
        let mut numbers = [0.0; LANES];
        // SAFETY: a vector is 16 numbers.
        unsafe { _mm512_storeu_ps(numbers.as_mut_ptr(), sum) };
        numbers
    })
}
