//! Holm's step-down correction for several tests.
//!
//! Holm, "A simple sequentially rejective multiple test procedure" (1979). With the p-values sorted,
//! `p_(1) <= ... <= p_(m)`:
//!
//! ```text
//! adjusted_(i) = max over j <= i of min(1, (m - j + 1) p_(j))
//! ```
//!
//! Rejecting where `adjusted <= alpha` keeps the chance of any false rejection at most `alpha`,
//! whatever the tests' dependence.

use super::sign_flip::smallest_p;

/// Holm's adjusted p-values, in the order of `p`.
///
/// # Panics
///
/// Panics if a p-value is not in \[0, 1\].
pub fn holm(p: &[f64]) -> Vec<f64> {
    assert!(
        p.iter().all(|p| (0.0..=1.0).contains(p)),
        "p-values must lie in [0, 1], got {p:?}"
    );
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[index]).min(1.0);
        adjusted[index] = largest;
    }

    adjusted
}

/// The smallest adjusted p-value that `tests` tests can reach when each alone can reach
/// `smallest_p`: `min(1, tests * smallest_p)`.
pub fn smallest_holm(smallest_p: f64, tests: usize) -> f64 {
    (tests.max(1) as f64 * smallest_p).min(1.0)
}

/// The fewest seeds with which the exact sign-flip test of `tests` arms can reach `alpha` after
/// Holm's correction: the smallest `n` with `tests * 2 / 2^n <= alpha`.
///
/// Returns `None` where more than 20 would be needed.
pub fn seeds_needed(alpha: f64, tests: usize) -> Option<usize> {
    (1..=20).find(|n| smallest_holm(smallest_p(*n), tests) <= alpha)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_tests_by_hand() {
        // Sorted 0.125, 0.25, 0.25: 3 * 0.125 = 0.375, 2 * 0.25 = 0.5, 1 * 0.25 raised to 0.5.
        assert_eq!(holm(&[0.25, 0.125, 0.25]), [0.5, 0.375, 0.5]);
    }

    #[test]
    fn one_test_is_not_changed() {
        assert_eq!(holm(&[0.25]), [0.25]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }

    #[test]
    fn never_above_one() {
        assert_eq!(holm(&[0.75, 0.625]), [1.0, 1.0]);
    }

    #[test]
    fn smallest_grows_with_the_tests() {
        assert_eq!(smallest_holm(0.0625, 3), 0.1875);
        assert_eq!(smallest_holm(0.25, 7), 1.0);
        assert_eq!(smallest_holm(0.25, 0), 0.25);
    }

    #[test]
    fn seeds_for_five_percent() {
        // 2/2^6 = 0.03125; 2 * 2/2^6 = 0.0625 is too much, 2 * 2/2^7 = 0.03125 is not.
        assert_eq!(seeds_needed(0.05, 1), Some(6));
        assert_eq!(seeds_needed(0.05, 2), Some(7));
        assert_eq!(seeds_needed(1e-9, 1), None);
    }

    #[test]
    #[should_panic(expected = "p-values must lie in [0, 1]")]
    fn not_a_probability() {
        holm(&[1.5]);
    }

    proptest! {
        #[test]
        fn at_least_the_raw_value_and_in_its_order(p in prop::collection::vec(0.0..=1.0f64, 0..12)) {
            let adjusted = holm(&p);
            prop_assert_eq!(adjusted.len(), p.len());
            for i in 0..p.len() {
                prop_assert!(p[i] <= adjusted[i] && adjusted[i] <= 1.0);
                for j in 0..p.len() {
                    prop_assert!(p[i] > p[j] || adjusted[i] <= adjusted[j]);
                }
            }
        }

        #[test]
        fn no_value_is_below_the_smallest_reachable(
            p in prop::collection::vec(0.125..=1.0f64, 1..12),
        ) {
            let bound = smallest_holm(0.125, p.len());
            prop_assert!(holm(&p).iter().all(|adjusted| *adjusted >= bound));
        }
    }
}
