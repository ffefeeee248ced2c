//! Comparison of an arm with its baseline, seed against same seed; `unpaired` makes the same of other seeds.

use serde::{Deserialize, Serialize};

use super::Goal;
use super::bootstrap::{BootstrapConfig, mean_interval};
use super::holm::seeds_needed;
use super::sign_flip::{sign_flip, smallest_p};
use super::student::{Interval, p_equal, t_interval};
use super::summary::{mean, sample_std};
use super::unpaired::{Unpaired, unpaired_seeds_needed};
use super::verdict::{Evidence, Verdict};

/// Options of a comparison.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CompareConfig {
    /// The largest difference that counts as none, fixed before the runs. Default: none, so that nothing is
    /// called equal
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// The level of the intervals and the making of the second one.
    pub bootstrap: BootstrapConfig,
}

/// The numbers of a comparison; differences are arm minus baseline.
///
/// With one seed there is a difference and nothing else. Arms of other seeds have the numbers of two samples in place of
/// those of paired differences: Welch's t in place of Student's, and its test with the permutation test in place of the
/// sign-flip test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Number of paired seeds; of arms of other seeds those of the smaller one.
    pub n_seeds: usize,
    /// Mean difference over the seeds.
    pub mean_difference: f64,
    /// Sample standard deviation of the differences; `None` with one seed, and of arms of other seeds.
    pub std_difference: Option<f64>,
    /// Student's t interval of the mean difference, or Welch's; `None` with one seed.
    pub interval: Option<Interval>,
    /// Percentile bootstrap interval of the mean difference, which decides nothing; `None` with one seed, and of
    /// arms of other seeds.
    pub bootstrap: Option<Interval>,
    /// p-value of the two-sided sign-flip test, or the larger one of Welch's t and the permutation test; `None` with one seed.
    pub p: Option<f64>,
    /// The smallest p-value that these seeds can reach.
    pub smallest_p: f64,
    /// `p` after Holm's correction; `None` until the caller has compared all arms.
    pub p_holm: Option<f64>,
    /// `smallest_p` after Holm's correction; equal to it until all arms are compared.
    pub smallest_p_holm: f64,
    /// Number of arms that the correction is for; 1 until all arms are compared.
    pub n_tests: usize,
    /// The margin of equality, if one was fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// p-value of two one-sided t tests that the difference lies within the margin, corrected like `p_holm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_equal: Option<f64>,
    /// The smallest true difference that 80 % of such studies would find, by the standard deviation seen here;
    /// `None` where no outcome is significant, or until [`corrected`](Self::corrected).
    pub visible: Option<f64>,
    /// The two samples, of arms of other seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpaired: Option<Unpaired>,
}

impl Comparison {
    /// The differences alone, for results that may be described and not tested.
    pub fn without_test(self) -> Self {
        Self {
            p: None,
            p_holm: None,
            p_equal: None,
            visible: None,
            ..self
        }
    }

    /// The difference that 80 % of such studies find, with the corrections that the comparison has by now. `effect` is
    /// that of [`verdict_effect`](super::verdict_effect) for paired seeds, which many arms share.
    pub fn corrected(self, alpha: f64, effect: impl FnOnce(usize, usize) -> Option<f64>) -> Self {
        let visible = match &self.unpaired {
            _ if self.p.is_none() => None,
            Some(samples) => samples.visible(alpha, self.n_tests),
            None => effect(self.n_seeds, self.n_tests)
                .zip(self.std_difference)
                .map(|(effect, std)| effect * std),
        };
        Self { visible, ..self }
    }

    /// Draws the verdict at level `alpha` from the corrected p-values, or from the raw ones where
    /// there was only this comparison.
    pub fn verdict(&self, goal: Goal, alpha: f64) -> Verdict {
        let seeds_needed = match self.unpaired {
            Some(_) => unpaired_seeds_needed,
            None => seeds_needed,
        };
        let evidence = Evidence {
            mean_difference: self.mean_difference,
            interval: self.interval,
            adjusted_p: self.p_holm.or(self.p),
            smallest_p: self.smallest_p_holm,
            seeds_needed: seeds_needed(alpha, self.n_tests),
            equal: self.margin.zip(self.p_equal),
            visible: self.visible,
            alpha,
        };

        Verdict::draw(&evidence, goal)
    }
}

/// Compares two arms: element `i` of both belongs to the same seed.
///
/// # Panics
///
/// Panics without values, with different numbers of values, or if a difference is not finite.
pub fn compare(baseline: &[f64], arm: &[f64], config: &CompareConfig) -> Comparison {
    assert_eq!(
        baseline.len(),
        arm.len(),
        "a paired comparison needs the same seeds in both arms"
    );
    let differences: Vec<f64> = arm.iter().zip(baseline).map(|(a, b)| a - b).collect();
    let smallest_p = smallest_p(differences.len());
    let several = differences.len() > 1;
    let bootstrap = &config.bootstrap;

    Comparison {
        n_seeds: differences.len(),
        mean_difference: mean(&differences),
        std_difference: sample_std(&differences),
        interval: several.then(|| t_interval(&differences, bootstrap.level)),
        bootstrap: several.then(|| mean_interval(&differences, bootstrap)),
        p: several.then(|| sign_flip(&differences, bootstrap.seed)),
        smallest_p,
        p_holm: None,
        smallest_p_holm: smallest_p,
        n_tests: 1,
        margin: config.margin,
        p_equal: config
            .margin
            .filter(|_| several)
            .map(|margin| p_equal(&differences, margin)),
        visible: None,
        unpaired: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stats::verdict_effect;
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    #[test]
    fn three_seeds_by_hand() {
        // Differences -1, -2, -3: mean -2, std 1, p = 2/8; all 27 draws, floor(0.025 * 27) = 0 out,
        // so the bootstrap interval is [-3, -1]; Student's is -2 +- 4.303 / sqrt 3.
        let config = CompareConfig::default();
        let comparison = compare(&[5.0, 6.0, 7.0], &[4.0, 4.0, 4.0], &config);
        assert_eq!(comparison.mean_difference, -2.0);
        assert_eq!(comparison.std_difference, Some(1.0));
        assert_eq!((comparison.p, comparison.smallest_p), (Some(0.25), 0.25));
        let bootstrap = comparison.bootstrap.unwrap();
        assert_eq!((bootstrap.low, bootstrap.high), (-3.0, -1.0));
        let interval = comparison.interval.unwrap();
        assert_relative_eq!(interval.low, -4.484, epsilon = 1e-3);
        assert_relative_eq!(interval.high, 0.484, epsilon = 1e-3);
        assert_eq!(
            comparison.verdict(Goal::Lower, 0.05),
            Verdict::Undecided { seeds: Some(6) }
        );
    }

    #[test]
    fn corrected_p_decides() {
        let mut comparison = compare(&[1.0; 6], &[0.0; 6], &CompareConfig::default());
        assert_eq!(comparison.verdict(Goal::Lower, 0.05), Verdict::Better);

        comparison.p_holm = Some(0.0625);
        let verdict = comparison.verdict(Goal::Lower, 0.05);
        assert_eq!(verdict, Verdict::NoDifference { visible: None });
    }

    #[test]
    fn a_small_difference_is_equal_within_its_margin() {
        // differences of at most 0.002, three seeds: the 90 % interval is about +- 0.002 * 2.92
        let config = CompareConfig {
            margin: Some(0.01),
            ..CompareConfig::default()
        };
        let (a, b) = ([2.0, 2.1, 2.2], [2.001, 2.098, 2.2]);
        let comparison = compare(&a, &b, &config);
        assert!(comparison.p_equal.unwrap() < 0.05);
        let verdict = comparison.verdict(Goal::Lower, 0.05);
        assert_eq!(verdict, Verdict::Equal { margin: 0.01 });

        let narrow = CompareConfig {
            margin: Some(0.001),
            ..config
        };
        let verdict = compare(&a, &b, &narrow).verdict(Goal::Lower, 0.05);
        assert_eq!(verdict, Verdict::Undecided { seeds: Some(6) });
    }

    #[test]
    fn six_seeds_say_what_they_would_have_seen() {
        // differences of standard deviation 1: the effect itself
        let differences = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0].map(|d: f64| d * (5.0f64 / 6.0).sqrt());
        let comparison = compare(&[0.0; 6], &differences, &CompareConfig::default());
        let effect = |n, tests| verdict_effect(n, 0.05, tests);
        let visible = comparison.corrected(0.05, effect).visible.unwrap();
        assert_relative_eq!(visible, verdict_effect(6, 0.05, 1).unwrap(), epsilon = 1e-9);
    }

    #[test]
    fn one_seed_has_a_difference_only() {
        let comparison = compare(&[1.0], &[3.0], &CompareConfig::default());

        assert_eq!(comparison.mean_difference, 2.0);
        assert_eq!((comparison.p, comparison.interval), (None, None));
        let verdict = comparison.verdict(Goal::Lower, 0.05);
        assert_eq!(verdict, Verdict::Undecided { seeds: Some(6) });
    }

    #[test]
    fn json_round_trip() {
        let comparison = compare(&[1.0, 2.0], &[1.5, 2.0], &CompareConfig::default());
        let text = serde_json::to_string(&comparison).unwrap();

        assert_eq!(
            serde_json::from_str::<Comparison>(&text).unwrap(),
            comparison
        );
    }

    #[test]
    #[should_panic(expected = "the same seeds in both arms")]
    fn unpaired() {
        compare(&[1.0, 2.0], &[1.0], &CompareConfig::default());
    }

    proptest! {
        #[test]
        fn exchanging_the_arms_changes_the_sign_only(
            pairs in prop::collection::vec((0.0..5.0f64, 0.0..5.0f64), 2..9),
        ) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let bootstrap = BootstrapConfig { resamples: 300, ..BootstrapConfig::default() };
            let config = CompareConfig { margin: Some(0.5), bootstrap };
            let there = compare(&a, &b, &config);
            let back = compare(&b, &a, &config);

            prop_assert_eq!(there.mean_difference, -back.mean_difference);
            prop_assert_eq!(there.p, back.p);
            prop_assert_eq!(there.p_equal, back.p_equal);
            for (there, back) in [(there.interval, back.interval), (there.bootstrap, back.bootstrap)] {
                let (there, back) = (there.unwrap(), back.unwrap());
                prop_assert_eq!((there.low, there.high), (-back.high, -back.low));
            }
        }
    }
}
