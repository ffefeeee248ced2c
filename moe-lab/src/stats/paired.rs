//! Comparison of an arm with its baseline, seed against same seed.

use serde::{Deserialize, Serialize};

use super::Goal;
use super::bootstrap::{BootstrapConfig, Interval, mean_interval};
use super::sign_flip::{sign_flip, smallest_p};
use super::summary::{mean, sample_std};
use super::verdict::{Evidence, Verdict};

/// The numbers of a paired comparison; differences are arm minus baseline.
///
/// With one seed there is a difference and nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Number of paired seeds.
    pub n_seeds: usize,
    /// Mean difference over the seeds.
    pub mean_difference: f64,
    /// Sample standard deviation of the differences; `None` with one seed.
    pub std_difference: Option<f64>,
    /// Percentile bootstrap interval of the mean difference; `None` with one seed.
    pub interval: Option<Interval>,
    /// p-value of the two-sided sign-flip test; `None` with one seed.
    pub p: Option<f64>,
    /// The smallest p-value that these seeds can reach.
    pub smallest_p: f64,
    /// `p` after Holm's correction; `None` until the caller has compared all arms.
    pub p_holm: Option<f64>,
    /// `smallest_p` after Holm's correction; equal to it until all arms are compared.
    pub smallest_p_holm: f64,
}

impl Comparison {
    /// The differences alone, for results that may be described and not tested.
    pub fn without_test(self) -> Self {
        Self {
            p: None,
            p_holm: None,
            ..self
        }
    }

    /// Draws the verdict at level `alpha` from the corrected p-value, or from the raw one where
    /// there was only this comparison.
    pub fn verdict(&self, goal: Goal, alpha: f64) -> Verdict {
        let (Some(interval), Some(p)) = (self.interval, self.p) else {
            return Verdict::OneSeed;
        };
        let evidence = Evidence {
            n_seeds: self.n_seeds,
            mean_difference: self.mean_difference,
            interval,
            adjusted_p: self.p_holm.unwrap_or(p),
            smallest_p: self.smallest_p_holm,
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
pub fn compare(baseline: &[f64], arm: &[f64], bootstrap: &BootstrapConfig) -> Comparison {
    assert_eq!(
        baseline.len(),
        arm.len(),
        "a paired comparison needs the same seeds in both arms"
    );
    let differences: Vec<f64> = arm.iter().zip(baseline).map(|(a, b)| a - b).collect();
    let smallest_p = smallest_p(differences.len());
    let several = differences.len() > 1;

    Comparison {
        n_seeds: differences.len(),
        mean_difference: mean(&differences),
        std_difference: sample_std(&differences),
        interval: several.then(|| mean_interval(&differences, bootstrap)),
        p: several.then(|| sign_flip(&differences, bootstrap.seed)),
        smallest_p,
        p_holm: None,
        smallest_p_holm: smallest_p,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_seeds_by_hand() {
        // Differences -1, -2, -3: mean -2, std 1, p = 2/8; all 27 draws, floor(0.025 * 27) = 0 out,
        // so the interval is [-3, -1].
        let comparison = compare(
            &[5.0, 6.0, 7.0],
            &[4.0, 4.0, 4.0],
            &BootstrapConfig::default(),
        );
        let expected = Comparison {
            n_seeds: 3,
            mean_difference: -2.0,
            std_difference: Some(1.0),
            interval: Some(Interval {
                low: -3.0,
                high: -1.0,
            }),
            p: Some(0.25),
            smallest_p: 0.25,
            p_holm: None,
            smallest_p_holm: 0.25,
        };

        assert_eq!(comparison, expected);
        assert_eq!(
            comparison.verdict(Goal::Lower, 0.05),
            Verdict::TooFewSeeds { smallest_p: 0.25 }
        );
        assert_eq!(comparison.verdict(Goal::Lower, 0.25), Verdict::Better);
    }

    #[test]
    fn corrected_p_decides() {
        let mut comparison = compare(&[1.0; 6], &[0.0; 6], &BootstrapConfig::default());
        assert_eq!(comparison.verdict(Goal::Lower, 0.05), Verdict::Better);

        comparison.p_holm = Some(0.0625);
        assert_eq!(comparison.verdict(Goal::Lower, 0.05), Verdict::NoDifference);
    }

    #[test]
    fn one_seed_has_a_difference_only() {
        let comparison = compare(&[1.0], &[3.0], &BootstrapConfig::default());

        assert_eq!(comparison.mean_difference, 2.0);
        assert_eq!((comparison.p, comparison.interval), (None, None));
        assert_eq!(comparison.verdict(Goal::Lower, 0.05), Verdict::OneSeed);
    }

    #[test]
    fn json_round_trip() {
        let comparison = compare(&[1.0, 2.0], &[1.5, 2.0], &BootstrapConfig::default());
        let text = serde_json::to_string(&comparison).unwrap();

        assert_eq!(
            serde_json::from_str::<Comparison>(&text).unwrap(),
            comparison
        );
    }

    #[test]
    #[should_panic(expected = "the same seeds in both arms")]
    fn unpaired() {
        compare(&[1.0, 2.0], &[1.0], &BootstrapConfig::default());
    }

    proptest! {
        #[test]
        fn exchanging_the_arms_changes_the_sign_only(
            pairs in prop::collection::vec((0.0..5.0f64, 0.0..5.0f64), 2..9),
        ) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let config = BootstrapConfig { resamples: 300, ..BootstrapConfig::default() };
            let there = compare(&a, &b, &config);
            let back = compare(&b, &a, &config);

            prop_assert_eq!(there.mean_difference, -back.mean_difference);
            prop_assert_eq!(there.p, back.p);
            let (there, back) = (there.interval.unwrap(), back.interval.unwrap());
            prop_assert_eq!((there.low, there.high), (-back.high, -back.low));
        }
    }
}
