//! Two-sided sign-flip (permutation) test of paired differences.
//!
//! If the arm makes no difference, the sign of each paired difference is a fair coin (Fisher, "The
//! design of experiments" (1935), section 21):
//!
//! ```text
//! p = #{ s in {-1, +1}^n : |mean(s d)| >= |mean(d)| } / 2^n
//! ```
//!
//! All `2^n` patterns are counted for n <= 20, so the p-value is exact. Above, 100,000 patterns are
//! drawn and the observed one is added, `p = (hits + 1) / (draws + 1)` (Phipson and Smyth,
//! arXiv 1603.05766), which keeps the test valid.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The most differences whose sign patterns are all counted.
pub(super) const EXACT_LIMIT: usize = 20;

/// Patterns drawn above the limit.
const DRAWS: u64 = 100_000;

/// Sums that differ by less than this share of the sum of |d| are ties: rounding may not decide.
const TIE: f64 = 1e-12;

/// The p-value of `differences` under random signs, in (0, 1].
///
/// `seed` is used above 20 differences only.
///
/// # Panics
///
/// Panics without differences or with one that is not finite.
pub fn sign_flip(differences: &[f64], seed: u64) -> f64 {
    assert!(
        !differences.is_empty() && differences.iter().all(|d| d.is_finite()),
        "the sign-flip test needs finite differences, got {differences:?}"
    );
    // The sums of all patterns share the divisor n, so sums are compared and not means.
    let total: f64 = differences.iter().map(|d| d.abs()).sum();
    let threshold = differences.iter().sum::<f64>().abs() - TIE * total;
    let reaches = |sum: f64| sum.abs() >= threshold;

    if differences.len() <= EXACT_LIMIT {
        let patterns = 1u32 << differences.len();
        let hits = (0..patterns)
            .filter(|pattern| reaches(flipped_sum(differences, |i| pattern >> i & 1 == 1)))
            .count();
        hits as f64 / f64::from(patterns)
    } else {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let hits = (0..DRAWS)
            .filter(|_| reaches(flipped_sum(differences, |_| rng.random())))
            .count();
        (hits + 1) as f64 / (DRAWS + 1) as f64
    }
}

/// Tells whether the exact p-value of at most 20 differences is no larger than `alpha`, faster than [`sign_flip`]:
/// each pattern differs from the one before it in one sign, and its mirror image is not counted anew.
pub(super) fn reaches_in(differences: &[f64], alpha: f64) -> bool {
    let total: f64 = differences.iter().map(|d| d.abs()).sum();
    let mut sum: f64 = differences.iter().sum();
    let threshold = sum.abs() - TIE * total;
    let patterns = 1u32 << (differences.len() - 1);
    let most = (alpha * f64::from(patterns)).floor() as u32;
    let mut signs = vec![1.0; differences.len()];
    let mut hits = 0;
    for pattern in 1..=patterns {
        hits += u32::from(sum.abs() >= threshold);
        if hits > most {
            return false;
        }
        let i = pattern.trailing_zeros() as usize;
        sum -= 2.0 * signs[i] * differences[i];
        signs[i] = -signs[i];
    }
    true
}

/// The smallest p-value that `n` differences can reach: `2 / 2^n`, since the observed signs and
/// their mirror image always count; above 20 differences `1 / 100,001`.
///
/// # Panics
///
/// Panics for `n = 0`.
pub fn smallest_p(n: usize) -> f64 {
    assert!(n > 0, "the sign-flip test needs at least one difference");

    if n <= EXACT_LIMIT {
        2.0 / f64::from(1u32 << n)
    } else {
        1.0 / (DRAWS + 1) as f64
    }
}

fn flipped_sum(differences: &[f64], mut flip: impl FnMut(usize) -> bool) -> f64 {
    differences
        .iter()
        .enumerate()
        .map(|(i, d)| if flip(i) { -d } else { *d })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_of_one_sign() {
        // Only +++ and --- reach |1 + 2 + 3| = 6: p = 2 / 8.
        assert_eq!(sign_flip(&[1.0, 2.0, 3.0], 0), 0.25);
        assert_eq!(smallest_p(3), 0.25);
    }

    #[test]
    fn three_of_mixed_sign() {
        // |1 + 2 - 1| = 2. Sums of (+-1, +-2, +-1): 4, 2, 0, -2, 2, 0, -2, -4, of which six reach
        // 2 in size: p = 6 / 8.
        assert_eq!(sign_flip(&[1.0, 2.0, -1.0], 0), 0.75);
    }

    #[test]
    fn one_difference_tells_nothing() {
        assert_eq!(sign_flip(&[5.0], 0), 1.0);
        assert_eq!(smallest_p(1), 1.0);
    }

    #[test]
    fn no_difference_at_all() {
        assert_eq!(sign_flip(&[0.0, 0.0, 0.0], 0), 1.0);
    }

    #[test]
    fn rounding_does_not_break_ties() {
        // 0.1 + 0.2 - 0.3 is not 0 in floating point, and 0.3 - 0.1 - 0.2 has another last bit:
        // both are ties of zero, so every pattern counts.
        assert_eq!(sign_flip(&[0.1, 0.2, -0.3], 0), 1.0);
    }

    #[test]
    fn six_seeds_reach_five_percent() {
        // 2 / 64 = 0.03125; five reach 2 / 32 = 0.0625 only.
        assert_eq!(sign_flip(&[1.0; 6], 0), 0.03125);
        assert_eq!((smallest_p(5), smallest_p(6)), (0.0625, 0.03125));
    }

    #[test]
    fn above_the_limit_patterns_are_drawn() {
        // All 21 of one sign: the chance of a draw that reaches the sum is 2 / 2^21, so the
        // observed pattern is practically alone.
        assert!(sign_flip(&[1.0; 21], 0) < 1e-4);
        assert!(sign_flip(&[1.0; 21], 0) >= smallest_p(21));
        // A sum of +-1 over 22 of which 11 are negative is 0, which every pattern reaches.
        let balanced: Vec<f64> = (0..22).map(|i| if i < 11 { 1.0 } else { -1.0 }).collect();
        assert_eq!(sign_flip(&balanced, 0), 1.0);
    }

    #[test]
    fn drawn_patterns_approach_the_exact_value() {
        // A 21st difference of zero changes no sum, so both ask the same question.
        let exact: Vec<f64> = (0..20).map(|i| f64::from(i) - 6.0).collect();
        let drawn = [exact.clone(), vec![0.0]].concat();

        assert!((sign_flip(&drawn, 0) - sign_flip(&exact, 0)).abs() < 0.005);
        assert_eq!(sign_flip(&drawn, 3), sign_flip(&drawn, 3));
    }

    #[test]
    #[should_panic(expected = "the sign-flip test needs finite differences")]
    fn infinite() {
        sign_flip(&[f64::INFINITY], 0);
    }

    #[test]
    #[should_panic(expected = "needs at least one difference")]
    fn smallest_of_nothing() {
        smallest_p(0);
    }

    proptest! {
        #[test]
        fn p_is_a_probability_no_smaller_than_the_smallest(
            differences in prop::collection::vec(-10.0..10.0f64, 1..11),
        ) {
            let p = sign_flip(&differences, 0);
            prop_assert!(smallest_p(differences.len()) <= p && p <= 1.0);
        }

        #[test]
        fn p_ignores_direction_and_scale(
            differences in prop::collection::vec(-10.0..10.0f64, 1..11),
            scale in 0.01..100.0f64,
        ) {
            let p = sign_flip(&differences, 0);
            let changed: Vec<f64> = differences.iter().map(|d| -d * scale).collect();
            prop_assert_eq!(sign_flip(&changed, 0), p);
        }

        #[test]
        fn the_fast_test_says_the_same(
            differences in prop::collection::vec(-10.0..10.0f64, 1..11),
            alpha in 0.0..0.5f64,
        ) {
            let p = sign_flip(&differences, 0);
            prop_assert_eq!(reaches_in(&differences, alpha), p <= alpha);
        }

        #[test]
        fn one_sign_reaches_the_smallest(
            differences in prop::collection::vec(0.1..10.0f64, 1..11),
        ) {
            prop_assert_eq!(sign_flip(&differences, 0), smallest_p(differences.len()));
        }
    }
}
