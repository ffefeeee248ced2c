//! The `k` largest scores of many rows, by all threads.

use super::top_k_into;
use rayon::prelude::*;

/// The rows that one thread takes at a time: enough to outweigh handing them over.
const BLOCK: usize = 512;

/// The rows that are searched side by side.
const ABREAST: usize = 8;

/// One value of each row, where no cache line ends between them.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct OfRows<T>([T; ABREAST]);

/// Most scores a row that are kept side by side. Each score is compared with all that are kept. For more of
/// them it is faster to search row by row, where most scores are compared with the least alone.
const MOST_ABREAST: usize = 16;

/// The `k` largest scores of each row, largest first, as [`top_k`](super::top_k()) finds them, `[T, K]`. Rows
/// do not depend on one another, so the number of threads changes nothing.
///
/// # Shapes
///
/// - scores_te: `[T, E]`, row by row
/// - output: `[T, K]`, row by row
///
/// # Panics
///
/// Panics if there are fewer than `k` scores in a row.
pub fn top_k_of_rows(scores_te: &[f32], n_experts: usize, k: usize) -> Vec<u32> {
    if k == 0 || n_experts == 0 {
        return Vec::new();
    }
    let n_tokens = scores_te.len() / n_experts;
    let mut best_tk = vec![0; n_tokens * k];
    if n_tokens <= BLOCK {
        block(scores_te, n_experts, &mut best_tk, k);
    } else {
        best_tk
            .par_chunks_mut(BLOCK * k)
            .zip(scores_te.par_chunks(BLOCK * n_experts))
            .for_each(|(best_tk, scores_te)| block(scores_te, n_experts, best_tk, k));
    }
    best_tk
}

/// A block of rows on one thread.
fn block(scores_te: &[f32], n_experts: usize, best_tk: &mut [u32], k: usize) {
    let n_abreast = if k <= MOST_ABREAST.min(n_experts) {
        scores_te.len() / (ABREAST * n_experts) * ABREAST
    } else {
        0
    };
    let (abreast_te, rest_te) = scores_te.split_at(n_abreast * n_experts);
    let (abreast_tk, rest_tk) = best_tk.split_at_mut(n_abreast * k);
    let eights = abreast_te.chunks_exact(ABREAST * n_experts);
    for (scores_te, best_tk) in eights.zip(abreast_tk.chunks_exact_mut(ABREAST * k)) {
        abreast(scores_te, n_experts, best_tk, k);
    }
    let rows = rest_te.chunks_exact(n_experts);
    for (scores_e, best_k) in rows.zip(rest_tk.chunks_exact_mut(k)) {
        top_k_into(scores_e, best_k);
    }
}

for_every_cpu!(abreast, abreast_body, (scores_te: &[f32], n_experts: usize, best_tk: &mut [u32], k: usize));

/// Searches [`ABREAST`] rows at once. No branch depends on a score, so the processor cannot guess wrong.
/// All rows take the same step, so compilers make one instruction of it.
#[inline(always)]
fn abreast_body(scores_te: &[f32], n_experts: usize, best_tk: &mut [u32], k: usize) {
    // what is not a number is an empty place
    let mut kept = [OfRows([f32::NAN; ABREAST]); MOST_ABREAST];
    let mut best = [OfRows([0; ABREAST]); MOST_ABREAST];
    for expert in 0..n_experts {
        let mut score = [0.0; ABREAST];
        for (row, score) in score.iter_mut().enumerate() {
            let given = scores_te[row * n_experts + expert];
            *score = if given.is_nan() {
                f32::NEG_INFINITY
            } else {
                given
            };
        }
        let mut index = [expert as u32; ABREAST];
        // all bits are set once the score has found its place: from there on all move one place back
        let mut found = [0; ABREAST];
        for (OfRows(kept), OfRows(best)) in kept[..k].iter_mut().zip(&mut best) {
            for row in 0..ABREAST {
                let stays = kept[row] >= score[row];
                found[row] |= if stays { 0 } else { u32::MAX };
                let (old, new) = (kept[row].to_bits(), score[row].to_bits());
                let change = (old ^ new) & found[row];
                kept[row] = f32::from_bits(old ^ change);
                score[row] = f32::from_bits(new ^ change);
                let change = (best[row] ^ index[row]) & found[row];
                best[row] ^= change;
                index[row] ^= change;
            }
        }
    }
    for (row, best_k) in best_tk.chunks_exact_mut(k).enumerate() {
        for (out, best) in best_k.iter_mut().zip(&best) {
            *out = best.0[row];
        }
    }
}

/// A score among which ties, infinities, both zeros and what is not a number are frequent.
#[cfg(test)]
pub(super) fn odd_score() -> impl proptest::strategy::Strategy<Value = f32> {
    use proptest::prelude::*;
    let odd = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, 0.0, -0.0];
    prop_oneof![
        (-3i32..3).prop_map(|x| x as f32 * 0.5),
        prop::sample::select(odd.to_vec())
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::{top_k, uniform_below};
    use proptest::prelude::*;

    #[test]
    fn blocks_of_rows_equal_rows_by_themselves() {
        let scores: Vec<f32> = (0..2 * BLOCK as u64 * 3 + 21)
            .map(|i| uniform_below(50, 1, i) as f32)
            .collect();
        let alone: Vec<u32> = scores.chunks(3).flat_map(|row| top_k(row, 2)).collect();
        assert_eq!(top_k_of_rows(&scores, 3, 2), alone);
    }

    #[test]
    #[should_panic(expected = "the 3 largest of 2 scores")]
    fn more_than_there_are_panics() {
        let _ = top_k_of_rows(&[0.0; 2 * ABREAST], 2, 3);
    }

    proptest! {
        #[test]
        fn rows_abreast_equal_rows_by_themselves(
            n_experts in 1usize..24,
            k in 1usize..24,
            scores in prop::collection::vec(odd_score(), 24 * (2 * ABREAST + 3)),
        ) {
            let k = k.min(n_experts);
            let scores = &scores[..n_experts * (2 * ABREAST + 3)];
            let alone: Vec<u32> = scores.chunks(n_experts).flat_map(|row| top_k(row, k)).collect();
            prop_assert_eq!(top_k_of_rows(scores, n_experts, k), alone);
        }
    }
}
