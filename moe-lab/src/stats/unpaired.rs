//! Comparison of an arm with a baseline of other seeds: two independent samples.
//!
//! The permutation test is exact where the samples have the same distribution, and finds too much where few values differ in
//! spread. Welch's t, corrected for the worst ratio of variances, holds for normal samples of any spread. The p-value is the
//! larger of both, so that either assumption is enough, and that an interval without 0 stands beside each small p.

use super::holm::smallest_holm;
use super::paired::{CompareConfig, Comparison};
use super::permutation::{permutation, smallest_permutation_p};
use super::summary::{mean, sample_std};
use super::unpaired_power::unpaired_effect;
use super::welch::Welch;
use serde::{Deserialize, Serialize};

/// The two samples of a comparison of arms of other seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unpaired {
    /// Seeds of the baseline.
    pub n_baseline: usize,
    /// Seeds of the arm.
    pub n_arm: usize,
    /// Standard deviation of the baseline's scores; `None` with one seed.
    pub std_baseline: Option<f64>,
    /// Standard deviation of the arm's scores; `None` with one seed.
    pub std_arm: Option<f64>,
    /// Degrees of freedom of Welch's t; `None` with one seed in either arm.
    pub freedom: Option<f64>,
}

impl Unpaired {
    /// The smallest true difference that 80 % of such studies find; `None` if these seeds never decide.
    pub(super) fn visible(&self, alpha: f64, tests: usize) -> Option<f64> {
        let stds = [self.std_baseline?, self.std_arm?];
        unpaired_effect([self.n_baseline, self.n_arm], stds, alpha, tests)
    }
}

/// Compares two arms whose seeds have nothing in common.
///
/// With one seed in either arm there is a difference and nothing else.
///
/// # Panics
///
/// Panics without values in either arm, or with one that is not finite.
pub fn compare_unpaired(baseline: &[f64], arm: &[f64], config: &CompareConfig) -> Comparison {
    let sizes = [baseline.len(), arm.len()];
    let welch = Welch::of(baseline, arm);
    let smallest_p = match welch {
        Some(_) => smallest_permutation_p(sizes[0], sizes[1]),
        None => 1.0,
    };
    let bootstrap = &config.bootstrap;

    Comparison {
        n_seeds: sizes[0].min(sizes[1]),
        mean_difference: mean(arm) - mean(baseline),
        std_difference: None,
        interval: welch.map(|welch| welch.interval(bootstrap.level)),
        bootstrap: None,
        p: welch.map(|welch| permutation(baseline, arm, bootstrap.seed).max(welch.p())),
        smallest_p,
        p_holm: None,
        smallest_p_holm: smallest_p,
        n_tests: 1,
        margin: config.margin,
        p_equal: welch
            .zip(config.margin)
            .map(|(welch, margin)| welch.p_equal(margin)),
        visible: None,
        unpaired: Some(Unpaired {
            n_baseline: sizes[0],
            n_arm: sizes[1],
            std_baseline: sample_std(baseline),
            std_arm: sample_std(arm),
            freedom: welch.map(|welch| welch.freedom),
        }),
    }
}

/// The fewest seeds of both arms with which the exact permutation test of `tests` arms can reach `alpha` after Holm's
/// correction; `None` above 20.
pub fn unpaired_seeds_needed(alpha: f64, tests: usize) -> Option<usize> {
    (2..=20).find(|&n| smallest_holm(smallest_permutation_p(n, n), tests) <= alpha)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stats::{Goal, Verdict};
    use approx::assert_relative_eq;

    #[test]
    fn four_and_four_by_hand() {
        // means 2.5 and 6.5, both s^2 = 5/3: e = sqrt(2 * 5/12) = 0.91287, f = 6; at the worst ratio of variances
        // a p of 0.044528 is worth 5 %, so t_(6, 1 - 0.044528 / 2) = 2.5325, and 0.91287 * 2.5325 = 2.3119
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let found = compare_unpaired(&a, &b, &CompareConfig::default());
        assert_eq!((found.mean_difference, found.n_seeds), (4.0, 4));
        let interval = found.interval.unwrap();
        assert_relative_eq!(interval.low, 4.0 - 2.3119, epsilon = 2e-3);
        assert_relative_eq!(interval.high, 4.0 + 2.3119, epsilon = 2e-3);
        assert_eq!((found.p, found.smallest_p), (Some(2.0 / 70.0), 2.0 / 70.0));
        assert_relative_eq!(found.unpaired.as_ref().unwrap().freedom.unwrap(), 6.0);
        assert_eq!(found.verdict(Goal::Lower, 0.05), Verdict::Worse);
        assert_eq!(found.verdict(Goal::Higher, 0.05), Verdict::Better);
    }

    #[test]
    fn three_and_three_are_undecided_however_far_apart() {
        let found = compare_unpaired(
            &[1.0, 1.1, 1.2],
            &[9.0, 9.1, 9.2],
            &CompareConfig::default(),
        );
        // 2 / C(6, 3) = 0.1; four have 2 / 70
        assert_eq!(found.smallest_p, 0.1);
        let undecided = Verdict::Undecided { seeds: Some(4) };
        assert_eq!(found.verdict(Goal::Lower, 0.05), undecided);
    }

    #[test]
    fn one_seed_has_a_difference_only() {
        let found = compare_unpaired(&[1.0], &[3.0, 4.0], &CompareConfig::default());
        assert_eq!(found.mean_difference, 2.5);
        assert_eq!((found.p, found.interval), (None, None));
        let undecided = Verdict::Undecided { seeds: Some(4) };
        assert_eq!(found.verdict(Goal::Lower, 0.05), undecided);
    }

    #[test]
    fn more_arms_need_more_seeds() {
        // 2 / 70 = 0.0286; two arms: 4 / 70 = 0.0571 is too much, 4 / 252 = 0.0159 is not
        assert_eq!(unpaired_seeds_needed(0.05, 1), Some(4));
        assert_eq!(unpaired_seeds_needed(0.05, 2), Some(5));
        assert_eq!(unpaired_seeds_needed(1e-9, 1), None);
    }

    #[test]
    fn equal_within_a_margin_by_two_tests() {
        let config = CompareConfig {
            margin: Some(0.1),
            ..CompareConfig::default()
        };
        let (a, b) = ([2.0, 2.01, 1.99, 2.0], [2.01, 2.0, 2.0, 1.99, 2.01]);
        let found = compare_unpaired(&a, &b, &config);
        assert!(found.p_equal.unwrap() < 1e-4);
        let equal = Verdict::Equal { margin: 0.1 };
        assert_eq!(found.verdict(Goal::Lower, 0.05), equal);
    }

    #[test]
    fn json_round_trip() {
        let found = compare_unpaired(&[1.0, 2.0], &[1.5, 2.0, 3.0], &CompareConfig::default());
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Comparison>(&text).unwrap(), found);
    }
}
