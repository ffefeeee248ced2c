//! Student's t interval and tests of a mean of paired differences.
//!
//! Student, "The probable error of a mean" (1908). For `n` differences with mean `m` and sample standard
//! deviation `s`:
//!
//! ```text
//! interval = m +- t_(n-1, 1 - a/2) s / sqrt(n)          a = 1 - level
//! ```
//!
//! It covers the true mean in `level` of all studies if the differences are normal, for every `n >= 2`.
//! Equivalence is shown by two one-sided tests (Schuirmann 1987): the mean lies above `-margin` and below
//! `+margin`, each at level `alpha`, which is the same as an interval of level `1 - 2 alpha` within the margins.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::summary::{mean, sample_std};

/// A closed interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Returns `true` if `value` lies in the interval, its ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The quantile `p` of Student's t distribution with `n - 1` degrees of freedom.
///
/// # Panics
///
/// Panics for fewer than two values, or with `p` outside (0, 1).
pub fn t_quantile(p: f64, n: usize) -> f64 {
    assert!(p > 0.0 && p < 1.0, "a quantile needs p in (0, 1), got {p}");
    distribution(n).inverse_cdf(p)
}

/// Student's t interval of the mean of `differences`.
///
/// # Panics
///
/// Panics with fewer than two differences, or with a level outside (0, 1).
pub fn t_interval(differences: &[f64], level: f64) -> Interval {
    assert!(
        level > 0.0 && level < 1.0,
        "the level must lie in (0, 1), got {level}"
    );
    let (center, error) = mean_and_error(differences);
    let half = t_quantile((1.0 + level) / 2.0, differences.len()) * error;
    Interval {
        low: center - half,
        high: center + half,
    }
}

/// p-value of the one-sided test that the mean of `differences` lies above `bound`.
///
/// # Panics
///
/// Panics with fewer than two differences.
pub fn p_above(differences: &[f64], bound: f64) -> f64 {
    let (center, error) = mean_and_error(differences);
    if error == 0.0 {
        // no spread: the mean is known
        return if center > bound { 0.0 } else { 1.0 };
    }
    distribution(differences.len()).cdf((bound - center) / error)
}

/// p-value of the two one-sided tests that the mean of `differences` lies within plus and minus `margin`.
///
/// # Panics
///
/// Panics with fewer than two differences.
pub fn p_equal(differences: &[f64], margin: f64) -> f64 {
    let mirrored: Vec<f64> = differences.iter().map(|d| -d).collect();
    p_above(differences, -margin).max(p_above(&mirrored, -margin))
}

fn mean_and_error(differences: &[f64]) -> (f64, f64) {
    let std = sample_std(differences).expect("an interval needs at least two differences");
    (mean(differences), std / (differences.len() as f64).sqrt())
}

fn distribution(n: usize) -> StudentsT {
    assert!(n >= 2, "Student's t needs at least two values, got {n}");
    StudentsT::new(0.0, 1.0, (n - 1) as f64).expect("the degrees of freedom are positive")
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn quantiles_of_the_printed_tables() {
        // Student's t, 97.5 %: 12.706 (1 degree of freedom), 4.303 (2), 2.776 (4), 2.262 (9)
        for (n, t) in [(2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262)] {
            assert_relative_eq!(t_quantile(0.975, n), t, epsilon = 5e-4);
        }
        assert_relative_eq!(t_quantile(0.95, 5), 2.132, epsilon = 5e-4);
    }

    #[test]
    fn five_differences_by_hand() {
        // 1..5: mean 3, s = sqrt(10 / 4) = 1.5811, error 0.70711; 2.7764 * 0.70711 = 1.9632
        let interval = t_interval(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95);
        assert_relative_eq!(interval.low, 1.0368, epsilon = 1e-4);
        assert_relative_eq!(interval.high, 4.9632, epsilon = 1e-4);
    }

    #[test]
    fn p_of_a_bound_by_hand() {
        // (3 - 0) / 0.70711 = 4.2426 with 4 degrees of freedom: two-sided p 0.01324
        let p = p_above(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.0);
        assert_relative_eq!(2.0 * p, 0.01324, epsilon = 1e-5);
    }

    #[test]
    fn equality_is_the_worse_of_two_tests() {
        let differences = [-0.1, 0.1, 0.0, 0.05, -0.05];
        // mean 0: both tests are the same
        assert_eq!(p_equal(&differences, 0.2), p_above(&differences, -0.2));
        assert!(p_equal(&differences, 0.2) < 0.05);
        assert!(p_equal(&differences, 0.02) > 0.05);
    }

    #[test]
    fn without_spread_the_mean_is_known() {
        assert_eq!(p_above(&[1.0, 1.0], 0.5), 0.0);
        assert_eq!(p_above(&[1.0, 1.0], 1.0), 1.0);
        assert_eq!(t_interval(&[1.0; 3], 0.95).low, 1.0);
    }

    #[test]
    fn the_interval_covers_what_it_says() {
        // 20,000 studies: the share has a standard error of 0.15 points
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for n in [2, 3, 5, 8] {
            let covered = (0..20_000)
                .filter(|_| {
                    let differences: Vec<f64> =
                        (0..n).map(|_| StandardNormal.sample(&mut rng)).collect();
                    t_interval(&differences, 0.95).contains(0.0)
                })
                .count();
            assert_relative_eq!(covered as f64 / 20_000.0, 0.95, epsilon = 0.006);
        }
    }

    #[test]
    #[should_panic(expected = "at least two differences")]
    fn one_difference_has_no_interval() {
        t_interval(&[1.0], 0.95);
    }

    proptest! {
        #[test]
        fn equality_is_shown_where_the_interval_lies_within(
            differences in prop::collection::vec(-1.0..1.0f64, 2..9),
            margin in 0.01..2.0f64,
        ) {
            let interval = t_interval(&differences, 0.90);
            let within = -margin < interval.low && interval.high < margin;
            let p = p_equal(&differences, margin);
            prop_assume!((p - 0.05).abs() > 1e-9);
            prop_assert_eq!(within, p < 0.05);
        }
    }
}
