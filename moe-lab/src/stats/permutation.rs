//! Two-sided permutation test of two independent samples.
//!
//! If the arm makes no difference, each split of all scores into two arms of these sizes is equally likely
//! (Fisher, "The design of experiments" (1935); Pitman 1937). The statistic is Welch's t, so that arms of different
//! spread do not reject too often (Janssen, "Studentized permutation tests for non-i.i.d. hypotheses" (1997)):
//!
//! ```text
//! p = #{ splits : |t(split)| >= |t(observed)| } / C(n + m, n)
//! ```
//!
//! Up to 200,000 splits are all counted, so the p-value is exact. Above, 100,000 splits are drawn and the observed
//! one is added, as in `sign_flip`.

use super::summary::mean;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The most splits that are all counted.
const EXACT_SPLITS: u64 = 200_000;

/// Splits drawn above the limit.
const DRAWS: u64 = 100_000;

/// Squared statistics that differ by less than this share are ties: rounding may not decide.
const TIE: f64 = 1e-9;

/// Differences of less than this, of scores of size 1, are none.
const NONE: f64 = 1e-12;

/// The p-value of two samples under random splits, in (0, 1].
///
/// `seed` is used above 200,000 splits only.
///
/// # Panics
///
/// Panics if a sample has fewer than two values, or one that is not finite.
pub fn permutation(baseline: &[f64], arm: &[f64], seed: u64) -> f64 {
    let split = Split::of(baseline, arm);
    match splits(baseline.len(), arm.len()) {
        Some(all) => split.count_up_to(all) as f64 / all as f64,
        None => {
            let hits = split.drawn(seed);
            (hits + 1) as f64 / (DRAWS + 1) as f64
        }
    }
}

/// The smallest p-value that samples of these sizes can reach: the observed split counts, and between arms of one size
/// its mirror image; above 200,000 splits `1 / 100,001`.
pub fn smallest_permutation_p(n: usize, m: usize) -> f64 {
    match splits(n, m) {
        Some(all) if n == m => (2.0 / all as f64).min(1.0),
        Some(all) => 1.0 / all as f64,
        None => 1.0 / (DRAWS + 1) as f64,
    }
}

/// Tells whether the exact p-value is no larger than `alpha`, faster than [`permutation`]; `None` where it is not exact.
pub(super) fn permutation_reaches(baseline: &[f64], arm: &[f64], alpha: f64) -> Option<bool> {
    let all = splits(baseline.len(), arm.len())?;
    let most = (alpha * all as f64).floor() as u64;
    Some(Split::of(baseline, arm).count_up_to(most + 1) <= most)
}

/// The number of splits, if all are counted: `C(n + m, n)`.
pub(super) fn splits(n: usize, m: usize) -> Option<u64> {
    let mut all: u64 = 1;
    for i in 1..=n.min(m) as u64 {
        // exact: the product of i neighbours is divisible by i!
        all = all * (n.max(m) as u64 + i) / i;
        if all > EXACT_SPLITS {
            return None;
        }
    }
    Some(all)
}

/// The scores of both arms with what was observed.
struct Split {
    /// All scores, rising, the largest of size 1.
    scores: Vec<f64>,
    /// The number of the arm's scores.
    size: usize,
    observed: Statistic,
}

/// A difference of means, and the square of its standard error.
#[derive(Clone, Copy)]
struct Statistic {
    difference: f64,
    square: f64,
}

impl Statistic {
    fn of(baseline: &[f64], arm: &[f64]) -> Self {
        let part = |values: &[f64], center: f64| {
            let squares: f64 = values.iter().map(|x| (x - center).powi(2)).sum();
            squares / (values.len() - 1) as f64 / values.len() as f64
        };
        let (a, b) = (mean(baseline), mean(arm));
        Self {
            difference: b - a,
            square: part(baseline, a) + part(arm, b),
        }
    }
}

impl Split {
    fn of(baseline: &[f64], arm: &[f64]) -> Self {
        assert!(
            baseline.len() > 1 && arm.len() > 1,
            "the permutation test needs at least two values in each sample"
        );
        let scores = [baseline, arm].concat();
        assert!(
            scores.iter().all(|x| x.is_finite()),
            "the permutation test needs finite values, got {scores:?}"
        );
        let largest = scores.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        let unit = if largest > 0.0 { largest } else { 1.0 };
        // in the order of the splits, so that equal splits have equal sums
        let sorted = |values: &[f64]| {
            let mut values: Vec<f64> = values.iter().map(|x| x / unit).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        Self {
            observed: Statistic::of(&sorted(baseline), &sorted(arm)),
            size: arm.len(),
            scores: sorted(&scores),
        }
    }

    /// Tells whether a split differs as much as what was observed.
    fn reaches(&self, baseline: &[f64], arm: &[f64]) -> bool {
        let observed = self.observed;
        if observed.difference.abs() <= NONE {
            return true;
        }
        let split = Statistic::of(baseline, arm);
        // without division, since a split may have no spread
        let [this, that] = [
            split.difference.powi(2) * observed.square,
            observed.difference.powi(2) * split.square,
        ];
        if this == 0.0 && that == 0.0 {
            return split.difference.abs() >= observed.difference.abs() * (1.0 - TIE);
        }
        this >= that * (1.0 - TIE)
    }

    /// The number of splits that reach the observed one, or `most` if it is larger.
    fn count_up_to(&self, most: u64) -> u64 {
        let (n, k) = (self.scores.len(), self.size);
        let mut chosen: Vec<usize> = (0..k).collect();
        let (mut arm, mut baseline) = (Vec::with_capacity(k), Vec::with_capacity(n - k));
        let mut hits = 0;
        loop {
            arm.clear();
            baseline.clear();
            for (i, &score) in self.scores.iter().enumerate() {
                // the chosen are rising, so the next of them is the one after those taken
                if chosen.get(arm.len()) == Some(&i) {
                    arm.push(score);
                } else {
                    baseline.push(score);
                }
            }
            hits += u64::from(self.reaches(&baseline, &arm));
            let last = (0..k).rev().find(|&i| chosen[i] < n - k + i);
            let Some(last) = last.filter(|_| hits < most) else {
                return hits;
            };
            chosen[last] += 1;
            for i in last + 1..k {
                chosen[i] = chosen[i - 1] + 1;
            }
        }
    }

    /// The number of drawn splits that reach the observed one.
    fn drawn(&self, seed: u64) -> u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut scores = self.scores.clone();
        let draw = |_: &u64| {
            for i in 0..self.size {
                scores.swap(i, rng.random_range(i..self.scores.len()));
            }
            let (arm, baseline) = scores.split_at(self.size);
            self.reaches(baseline, arm)
        };
        (0..DRAWS).filter(draw).count() as u64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_and_two_by_hand() {
        // of C(4, 2) = 6 splits of 1, 2, 3, 4 only {1, 2} {3, 4} and its mirror image differ by 2
        assert_eq!(permutation(&[1.0, 2.0], &[3.0, 4.0], 0), 2.0 / 6.0);
        assert_eq!(smallest_permutation_p(2, 2), 2.0 / 6.0);
        // {1, 3} {2, 4}: by 1 or more differ {1, 2}, {1, 3} and their mirror images
        assert_eq!(permutation(&[1.0, 3.0], &[2.0, 4.0], 0), 4.0 / 6.0);
    }

    #[test]
    fn four_and_four_reach_five_percent() {
        // 2 / C(8, 4) = 2 / 70 = 0.0286; three and three 2 / 20 = 0.1; three and four 1 / 35 = 0.0286
        let (low, high) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        assert_eq!(permutation(&low, &high, 0), 2.0 / 70.0);
        assert_eq!(smallest_permutation_p(3, 3), 0.1);
        assert_eq!(smallest_permutation_p(3, 4), 1.0 / 35.0);
    }

    #[test]
    fn ties_and_no_spread() {
        assert_eq!(permutation(&[1.0, 1.0], &[1.0, 1.0], 0), 1.0);
        // 0.1 + 0.2 and 0.3 + 0 have different last bits, and no difference
        assert_eq!(permutation(&[0.1, 0.2], &[0.3, 0.0], 0), 1.0);
        // both arms without spread: the observed split and its mirror image
        assert_eq!(permutation(&[1.0; 4], &[2.0; 4], 0), 2.0 / 70.0);
    }

    #[test]
    fn many_values_are_drawn() {
        assert_eq!(splits(10, 10), Some(184_756));
        assert_eq!(splits(11, 10), None);
        let low: Vec<f64> = (0..15).map(f64::from).collect();
        let high: Vec<f64> = (0..15).map(|x| f64::from(x) + 30.0).collect();
        assert_eq!(permutation(&low, &high, 0), smallest_permutation_p(15, 15));
        let mixed: Vec<f64> = (0..15).map(|x| f64::from(x) + 0.1).collect();
        assert!(permutation(&low, &mixed, 0) > 0.9);
    }

    #[test]
    #[should_panic(expected = "at least two values")]
    fn one_value_cannot_be_split() {
        permutation(&[1.0], &[2.0, 3.0], 0);
    }

    proptest! {
        #[test]
        fn p_is_a_probability_that_ignores_order_and_scale(
            a in prop::collection::vec(-10.0..10.0f64, 2..6),
            b in prop::collection::vec(-10.0..10.0f64, 2..6),
            scale in 0.01..100.0f64,
        ) {
            let p = permutation(&a, &b, 0);
            prop_assert!(smallest_permutation_p(a.len(), b.len()) <= p && p <= 1.0);
            prop_assert_eq!(permutation(&b, &a, 0), p);
            let scaled = |x: &[f64]| -> Vec<f64> { x.iter().rev().map(|x| -x * scale).collect() };
            prop_assert_eq!(permutation(&scaled(&a), &scaled(&b), 0), p);
        }

        #[test]
        fn the_fast_test_says_the_same(
            a in prop::collection::vec(-10.0..10.0f64, 2..6),
            b in prop::collection::vec(-10.0..10.0f64, 2..6),
            alpha in 0.0..0.5f64,
        ) {
            let reaches = permutation_reaches(&a, &b, alpha).unwrap();
            prop_assert_eq!(reaches, permutation(&a, &b, 0) <= alpha);
        }
    }
}
