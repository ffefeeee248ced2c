//! Welch's t of two independent samples: interval, tests and equivalence of the difference of their means.
//!
//! Welch, "The generalization of 'Student's' problem when several different population variances are involved"
//! (1947). For samples of `n` and `m` values with means `a` and `b` and sample standard deviations `s` and `r`:
//!
//! ```text
//! error    e = sqrt(s^2 / n + r^2 / m)
//! freedom  f = e^4 / ((s^2 / n)^2 / (n - 1) + (r^2 / m)^2 / (m - 1))
//! p(t)       = P(|t_f| > |b - a| / e), then the largest share of studies, over all ratios of variances, of such a p
//! interval   = all differences whose p is at least 1 - level
//! ```
//!
//! The samples need not have the same variance or size. Welch's p alone is too small with few values, and `behrens_fisher`
//! corrects it: for normal samples no level is exceeded, whatever their variances. Equivalence is shown by two one-sided
//! tests, as in `student`.

use super::behrens_fisher::WorstCase;
use super::student::Interval;
use super::summary::{mean, sample_std};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Difference of two independent means with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Welch {
    /// Mean of the arm minus mean of the baseline.
    pub difference: f64,
    /// Standard error of the difference.
    pub error: f64,
    /// Degrees of freedom (Satterthwaite); at least those of the smaller sample.
    pub freedom: f64,
    /// The number of values of the baseline and of the arm.
    pub sizes: [usize; 2],
}

impl Welch {
    /// The difference of two samples; `None` if either has fewer than two values, and so no spread.
    pub fn of(baseline: &[f64], arm: &[f64]) -> Option<Self> {
        let part = |values: &[f64]| Some(sample_std(values)?.powi(2) / values.len() as f64);
        let (a, b) = (part(baseline)?, part(arm)?);
        let sizes = [baseline.len(), arm.len()];
        Some(Self {
            difference: mean(arm) - mean(baseline),
            error: (a + b).sqrt(),
            freedom: freedom([a, b], sizes),
            sizes,
        })
    }

    /// Interval of the true difference.
    ///
    /// # Panics
    ///
    /// Panics with a level outside (0, 1).
    pub fn interval(&self, level: f64) -> Interval {
        assert!(
            level > 0.0 && level < 1.0,
            "the level must lie in (0, 1), got {level}"
        );
        let q = WorstCase::new(self.sizes).inverse(1.0 - level);
        let t = -distribution(self.freedom).inverse_cdf(q / 2.0);
        Interval {
            low: self.difference - t * self.error,
            high: self.difference + t * self.error,
        }
    }

    /// p-value of the two-sided test that there is no difference.
    pub fn p(&self) -> f64 {
        let (above, below) = (self.uncorrected(0.0), self.mirrored().uncorrected(0.0));
        WorstCase::new(self.sizes).p(2.0 * above.min(below))
    }

    /// p-value of the one-sided test that the true difference lies above `bound`.
    pub fn p_above(&self, bound: f64) -> f64 {
        let q = self.uncorrected(bound);
        // half of a two-sided test; half of all studies lie on the other side
        if q >= 0.5 {
            return q;
        }
        WorstCase::new(self.sizes).p(2.0 * q) / 2.0
    }

    /// Welch's own p-value of that test, which is approximate.
    pub(super) fn uncorrected(&self, bound: f64) -> f64 {
        if self.error == 0.0 {
            // no spread: the difference is known
            return if self.difference > bound { 0.0 } else { 1.0 };
        }
        distribution(self.freedom).cdf((bound - self.difference) / self.error)
    }

    /// p-value of the two one-sided tests that the true difference lies within plus and minus `margin`.
    pub fn p_equal(&self, margin: f64) -> f64 {
        self.p_above(-margin).max(self.mirrored().p_above(-margin))
    }

    fn mirrored(&self) -> Self {
        Self {
            difference: -self.difference,
            ..*self
        }
    }
}

/// Satterthwaite's degrees of freedom of a sum of two squared errors of samples of these sizes.
pub(super) fn freedom([a, b]: [f64; 2], sizes: [usize; 2]) -> f64 {
    let [n, m] = sizes.map(|size| (size - 1) as f64);
    if a + b == 0.0 {
        return n + m;
    }
    // shares, since squares of small errors are zero
    let share = a / (a + b);
    1.0 / (share.powi(2) / n + (1.0 - share).powi(2) / m)
}

pub(super) fn distribution(freedom: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, freedom).expect("the degrees of freedom are positive")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use approx::assert_relative_eq;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn unequal_sizes_by_hand() {
        // a: 1, 2, 3: mean 2, s^2 = 1, 1/3. b: 4, 8: mean 6, r^2 = 8, 8/2 = 4. e = sqrt(13/3) = 2.0817
        // f = (13/3)^2 / ((1/9)/2 + 16/1) = 18.7778 / 16.0556 = 1.16955
        let found = Welch::of(&[1.0, 2.0, 3.0], &[4.0, 8.0]).unwrap();
        assert_relative_eq!(found.difference, 4.0, epsilon = 1e-12);
        assert_relative_eq!(found.error, 2.081_666, epsilon = 1e-6);
        assert_relative_eq!(found.freedom, 1.169_550, epsilon = 1e-6);
    }

    #[test]
    fn equal_variances_and_sizes_are_students() {
        // a: 1..5, b: 3..7: both s^2 = 2.5, e = sqrt(2 * 2.5 / 5) = 1, f = 8; t = 2 / 1, two-sided p 0.08052
        let found = Welch::of(&[1.0, 2.0, 3.0, 4.0, 5.0], &[3.0, 4.0, 5.0, 6.0, 7.0]).unwrap();
        assert_relative_eq!(found.error, 1.0, epsilon = 1e-12);
        assert_relative_eq!(found.freedom, 8.0, epsilon = 1e-12);
        assert_relative_eq!(2.0 * found.uncorrected(0.0), 0.080_516, epsilon = 1e-6);
        // scipy 1.16: at the worst ratio of variances 0.080516 is worth 0.08360, and 0.046443 is worth 5 %
        assert_relative_eq!(found.p(), 0.083_60, epsilon = 2e-4);
        assert_relative_eq!(found.p_above(0.0), found.p() / 2.0, epsilon = 1e-9);
        // t_(8, 1 - 0.046443 / 2) = 2.3533, in place of 2.3060
        let interval = found.interval(0.95);
        assert_relative_eq!(interval.low, 2.0 - 2.353, epsilon = 2e-3);
        assert_relative_eq!(interval.high, 2.0 + 2.353, epsilon = 2e-3);
    }

    #[test]
    fn one_value_has_no_spread_and_none_is_known_exactly() {
        assert_eq!(Welch::of(&[1.0], &[2.0, 3.0]), None);
        let known = Welch::of(&[1.0, 1.0], &[3.0, 3.0, 3.0]).unwrap();
        let interval = known.interval(0.95);
        assert_eq!((interval.low, interval.high), (2.0, 2.0));
        assert_eq!((known.p_above(1.0), known.p_above(2.0)), (0.0, 1.0));
        assert_eq!((known.p_equal(2.5), known.p_equal(1.5)), (0.0, 1.0));
        // squares of squares of this error are zero
        let small = Welch::of(&[0.0, 1e-100], &[0.0, 1e-100]).unwrap();
        assert_relative_eq!(small.freedom, 2.0, epsilon = 1e-9);
    }

    #[test]
    fn the_interval_covers_what_it_says() {
        // 10,000 studies: the share has a standard error of 0.22 points
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (sizes, spreads) in [
            ([5, 5], [1.0, 1.0]),
            ([4, 8], [3.0, 1.0]),
            ([6, 3], [1.0, 2.0]),
            ([2, 5], [1.0, 0.5]),
        ] {
            let mut sample = |i: usize| -> Vec<f64> {
                let draw = std::iter::repeat_with(|| -> f64 { StandardNormal.sample(&mut rng) });
                draw.take(sizes[i]).map(|z| spreads[i] * z).collect()
            };
            let q = WorstCase::new(sizes).inverse(0.05);
            let covered = (0..10_000).filter(|_| {
                let found = Welch::of(&sample(0), &sample(1)).unwrap();
                // as the interval of 95 % does, at once for all studies
                found.uncorrected(0.0) > q / 2.0 && found.mirrored().uncorrected(0.0) > q / 2.0
            });
            let covered = covered.count() as f64 / 10_000.0;
            assert!(covered > 0.9456, "{sizes:?}, {spreads:?}: {covered}");
        }
    }

    proptest! {
        #[test]
        fn equality_is_shown_where_the_interval_lies_within(
            a in prop::collection::vec(-1.0..1.0f64, 2..9),
            b in prop::collection::vec(-1.0..1.0f64, 2..9),
            margin in 0.01..2.0f64,
        ) {
            let found = Welch::of(&a, &b).unwrap();
            let interval = found.interval(0.90);
            let within = -margin < interval.low && interval.high < margin;
            let p = found.p_equal(margin);
            prop_assume!((p - 0.05).abs() > 1e-6);
            prop_assert_eq!(within, p < 0.05);
        }

        #[test]
        fn the_interval_leaves_out_what_the_test_rejects(
            a in prop::collection::vec(-1.0..1.0f64, 2..9),
            b in prop::collection::vec(-1.0..1.0f64, 2..9),
            shift in 0.0..4.0f64,
        ) {
            let b: Vec<f64> = b.iter().map(|x| x + shift).collect();
            let found = Welch::of(&a, &b).unwrap();
            prop_assume!((found.p() - 0.05).abs() > 1e-6);
            prop_assert_eq!(found.interval(0.95).contains(0.0), found.p() > 0.05);
        }

        #[test]
        fn exchanging_the_samples_changes_the_sign_only(
            a in prop::collection::vec(-1.0..1.0f64, 2..9),
            b in prop::collection::vec(-1.0..1.0f64, 2..9),
        ) {
            let (there, back) = (Welch::of(&a, &b).unwrap(), Welch::of(&b, &a).unwrap());
            prop_assert_eq!(there.difference, -back.difference);
            prop_assert!((there.freedom - back.freedom).abs() < 1e-9);
            prop_assert!(there.freedom >= (a.len().min(b.len()) - 1) as f64 - 1e-9);
        }
    }
}
