//! The `k` largest scores, ties to the lowest index, on the host.
//!
//! Sorts of the devices are not stable, so equal scores would route differently from device to
//! device. Selection here is one pass with insertion, exact and the same everywhere.

/// The indices of the `k` largest scores, largest first; of equal scores the lowest index wins.
/// Not-a-number counts as the smallest of all.
///
/// # Panics
///
/// Panics if `k` is larger than the number of scores.
pub fn top_k(scores: &[f32], k: usize) -> Vec<u32> {
    let mut best = vec![0; k];
    top_k_into(scores, &mut best);
    best
}

/// As [`top_k`], with `k = best.len()`, into a buffer.
///
/// # Panics
///
/// Panics if the buffer is longer than the scores.
pub fn top_k_into(scores: &[f32], best: &mut [u32]) {
    let k = best.len();
    assert!(
        k <= scores.len(),
        "the {k} largest of {} scores do not exist",
        scores.len()
    );
    if k == 0 {
        return;
    }
    let mut on_stack = [0.0; 16];
    let mut on_heap = Vec::new();
    let kept = match on_stack.get_mut(..k) {
        Some(kept) => kept,
        None => {
            on_heap.resize(k, 0.0);
            on_heap.as_mut_slice()
        }
    };
    let (first, rest) = scores.split_at(k);
    for (i, &score) in first.iter().enumerate() {
        insert(&mut kept[..=i], &mut best[..=i], rank(score), i as u32);
    }
    // what is not a number is not above the least
    let mut least = kept[k - 1];
    for (i, &score) in (k as u32..).zip(rest) {
        if score > least {
            insert(kept, best, score, i);
            least = kept[k - 1];
        }
    }
}

/// Puts a score in its place among those kept, over the last of them. It goes behind all that are at least
/// as large, so that the lower index stays first.
fn insert(kept: &mut [f32], best: &mut [u32], score: f32, index: u32) {
    let mut slot = kept.len() - 1;
    while slot > 0 && score > kept[slot - 1] {
        kept[slot] = kept[slot - 1];
        best[slot] = best[slot - 1];
        slot -= 1;
    }
    kept[slot] = score;
    best[slot] = index;
}

/// The `k`-th largest score (`k` from 1); minus infinity if there are fewer.
///
/// # Panics
///
/// Panics if `k` is zero.
pub fn kth_largest(scores: &[f32], k: usize) -> f32 {
    assert!(k > 0, "the largest score is the first, not the zeroth");
    if k > scores.len() {
        return f32::NEG_INFINITY;
    }
    scores[top_k(scores, k)[k - 1] as usize]
}

fn rank(score: f32) -> f32 {
    if score.is_nan() {
        f32::NEG_INFINITY
    } else {
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ties_go_to_the_lowest_index() {
        assert_eq!(top_k(&[1.0, 3.0, 3.0, 2.0, 3.0], 3), [1, 2, 4]);
        assert_eq!(top_k(&[0.0; 4], 2), [0, 1]);
    }

    #[test]
    fn not_a_number_is_chosen_last() {
        assert_eq!(top_k(&[f32::NAN, 1.0, f32::NEG_INFINITY], 1), [1]);
        assert_eq!(top_k(&[f32::NAN, f32::NAN], 2), [0, 1]);
    }

    #[test]
    fn kth_largest_counts_from_one() {
        assert_eq!(kth_largest(&[1.0, 5.0, 3.0], 2), 3.0);
        assert_eq!(kth_largest(&[1.0], 2), f32::NEG_INFINITY);
    }

    #[test]
    #[should_panic(expected = "the 3 largest of 2 scores")]
    fn more_than_there_are_panics() {
        let _ = top_k(&[1.0, 2.0], 3);
    }

    proptest! {
        #[test]
        fn equals_a_stable_sort(
            scores in prop::collection::vec((-3i32..3).prop_map(|x| x as f32 * 0.5), 1..40),
            k in 0usize..40,
        ) {
            let k = k.min(scores.len());
            let mut order: Vec<u32> = (0..scores.len() as u32).collect();
            order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
            prop_assert_eq!(top_k(&scores, k), &order[..k]);
        }
    }
}
