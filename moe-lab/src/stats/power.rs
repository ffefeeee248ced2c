//! Power: the share of studies that would find a difference, and the smallest difference that most would find.
//!
//! Effects are true mean differences in units of the standard deviation of the paired differences, which are
//! taken to be normal. With `t` the quantile of a rule's level and `s` the sample standard deviation in units of
//! the true one, whose square has a chi-square distribution with `n - 1` degrees of freedom over `n - 1`:
//!
//! ```text
//! P(interval lies above 0)         = E_s[ Phi(effect sqrt(n) - t s) ]
//! P(interval lies within margins)  = E_s[ max(0, Phi(b - t s) - Phi(t s - a)) ]    a, b = (margin +- effect) sqrt(n)
//! ```
//!
//! The sign-flip test has no such formula; its power is that of 2,000 simulated studies.

use super::sign_flip::{EXACT_LIMIT, reaches_in, smallest_p};
use super::student::t_quantile;
use super::summary::sample_std;
use super::{mean, smallest_holm};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

/// The share of studies that are to find a difference, where one number of seeds or one difference is named.
pub const POWER: f64 = 0.8;

/// The simulated studies.
const STUDIES: usize = 2000;

/// The most seeds whose sign-flip test is simulated; with more it is as powerful as the t test.
const SIMULATED: usize = 12;

/// The most seeds that a plan asks for.
const MOST_SEEDS: usize = 200;

/// The largest effect that is looked at.
const LARGEST: f64 = 200.0;

/// The rules that are decided by an interval, with one number of seeds.
#[derive(Debug, Clone)]
pub struct IntervalPower {
    n: usize,
    /// Half the interval's width in standard errors, at equally likely sample standard deviations.
    halves: Vec<f64>,
}

impl IntervalPower {
    /// The power of rules of one-sided level `alpha` with `n` seeds.
    ///
    /// # Panics
    ///
    /// Panics for fewer than two seeds, or with `alpha` outside (0, 0.5).
    pub fn new(n: usize, alpha: f64) -> Self {
        assert!(
            alpha > 0.0 && alpha < 0.5,
            "a one-sided level lies in (0, 0.5), got {alpha}"
        );
        let t = t_quantile(1.0 - alpha, n);
        let freedom = (n - 1) as f64;
        let squares = ChiSquared::new(freedom).expect("the degrees of freedom are positive");
        const NODES: usize = 400;
        let node = |i: usize| {
            let square = squares.inverse_cdf((i as f64 + 0.5) / NODES as f64) / freedom;
            t * square.sqrt()
        };
        Self {
            n,
            halves: (0..NODES).map(node).collect(),
        }
    }

    /// The share of studies whose interval lies above 0 (or above minus a margin, from which `effect` is counted).
    pub fn above(&self, effect: f64) -> f64 {
        let shift = effect * self.root();
        self.mean_of(|half| normal(shift - half))
    }

    /// The share of studies whose interval lies within plus and minus `margin`.
    pub fn within(&self, margin: f64, effect: f64) -> f64 {
        let [a, b] = [margin + effect, margin - effect].map(|x| x * self.root());
        self.mean_of(|half| (normal(b - half) - normal(half - a)).max(0.0))
    }

    /// The smallest effect that [`POWER`] of the studies find above 0.
    pub fn smallest_above(&self) -> f64 {
        smallest(|effect| self.above(effect))
    }

    /// The smallest margin within which [`POWER`] of the studies show a difference of 0.
    pub fn smallest_margin(&self) -> f64 {
        smallest(|margin| self.within(margin, 0.0))
    }

    fn root(&self) -> f64 {
        (self.n as f64).sqrt()
    }

    fn mean_of(&self, f: impl Fn(f64) -> f64) -> f64 {
        let values: Vec<f64> = self.halves.iter().map(|&half| f(half)).collect();
        mean(&values)
    }
}

/// The share of studies of `n` seeds in which an arm with this effect gets the verdict better or worse: the exact
/// sign-flip test reaches `alpha` after Holm's correction at its strictest, and the interval of `1 - alpha`
/// leaves out 0.
///
/// # Panics
///
/// Panics without seeds.
pub fn verdict_power(effect: f64, n: usize, alpha: f64, tests: usize) -> f64 {
    if n < 2 || smallest_holm(smallest_p(n), tests) > alpha {
        return 0.0;
    }
    if n > SIMULATED {
        let level = alpha / tests.max(1) as f64 / 2.0;
        return IntervalPower::new(n, level).above(effect.abs());
    }
    power_of(&studies(n), effect.abs(), alpha, tests)
}

/// The smallest effect for which [`verdict_power`] is [`POWER`]; `None` if these seeds never decide.
pub fn verdict_effect(n: usize, alpha: f64, tests: usize) -> Option<f64> {
    if n < 2 || smallest_holm(smallest_p(n), tests) > alpha {
        return None;
    }
    if n > SIMULATED {
        let level = alpha / tests.max(1) as f64 / 2.0;
        return Some(IntervalPower::new(n, level).smallest_above());
    }
    let studies = studies(n);
    Some(smallest(|effect| power_of(&studies, effect, alpha, tests)))
}

/// The fewest seeds with which [`POWER`] of the studies find this effect; `None` above 200.
pub fn seeds_to_find(effect: f64, alpha: f64, tests: usize) -> Option<usize> {
    (2..=MOST_SEEDS).find(|&n| verdict_effect(n, alpha, tests).is_some_and(|d| d <= effect.abs()))
}

/// The same draws for every effect, so that power rises with it.
pub(super) fn studies(n: usize) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
    let mut draw = || StandardNormal.sample(&mut rng);
    (0..STUDIES)
        .map(|_| (0..n).map(|_| draw()).collect())
        .collect()
}

fn power_of(studies: &[Vec<f64>], effect: f64, alpha: f64, tests: usize) -> f64 {
    // the quantile of all intervals, which is dearer than the rest of them
    let t = studies.first().map_or(0.0, |study| {
        let level = 1.0 - alpha;
        t_quantile((1.0 + level) / 2.0, study.len())
    });
    let found = studies.iter().filter(|study| {
        let differences: Vec<f64> = study.iter().map(|z| z + effect).collect();
        let std = sample_std(&differences).unwrap_or(0.0);
        let low = mean(&differences) - t * (std / (differences.len() as f64).sqrt());
        low > 0.0 && reaches_in(&differences, alpha / tests.max(1) as f64)
    });
    found.count() as f64 / studies.len() as f64
}

/// The smallest number for which a rising share is [`POWER`].
pub(super) fn smallest(share: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while share(high) < POWER && high < LARGEST {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..12 {
        let middle = (low + high) / 2.0;
        if share(middle) < POWER {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

fn normal(x: f64) -> f64 {
    Normal::standard().cdf(x)
}

const _: () = assert!(SIMULATED <= EXACT_LIMIT);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stats::{p_above, p_equal, t_interval};
    use approx::assert_abs_diff_eq;

    /// The share of 2,000 studies of normal differences of standard deviation 1 for which something holds.
    fn simulated(n: usize, effect: f64, holds: impl Fn(&[f64]) -> bool) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(99);
        let mut draw = || -> f64 { StandardNormal.sample(&mut rng) };
        let found = (0..2000).filter(|_| {
            let study: Vec<f64> = (0..n).map(|_| effect + draw()).collect();
            holds(&study)
        });
        found.count() as f64 / 2000.0
    }

    /// One-sided level of a 95 % interval.
    const LEVEL: f64 = 0.025;

    #[test]
    fn power_of_a_printed_table() {
        // paired t test, two-sided 5 %, n = 10, effect 1: 0.803 (Cohen 1988; the other side adds nothing)
        assert_abs_diff_eq!(
            IntervalPower::new(10, LEVEL).above(1.0),
            0.803,
            epsilon = 0.003
        );
        assert_abs_diff_eq!(
            IntervalPower::new(10, LEVEL).smallest_above(),
            0.996,
            epsilon = 0.01
        );
    }

    #[test]
    fn superiority_and_not_worse_decide_as_often_as_they_say() {
        for n in [5, 8] {
            let power = IntervalPower::new(n, LEVEL);
            for effect in [0.0, 0.5, 1.0, 2.0] {
                let share = simulated(n, effect, |study| p_above(study, 0.0) < LEVEL);
                assert_abs_diff_eq!(share, power.above(effect), epsilon = 0.03);
                if effect == 0.0 {
                    assert!(share <= 0.05, "{share}");
                }
                // not worse by more than 0.5: the distance to the margin counts
                let share = simulated(n, effect, |study| p_above(study, -0.5) < LEVEL);
                assert_abs_diff_eq!(share, power.above(effect + 0.5), epsilon = 0.03);
            }
        }
    }

    #[test]
    fn equality_decides_as_often_as_it_says() {
        let (n, margin) = (8, 1.5);
        let power = IntervalPower::new(n, 0.05);
        for times in [0.0, 0.5, 1.0, 2.0] {
            let effect = times * margin;
            let share = simulated(n, effect, |study| p_equal(study, margin) < 0.05);
            assert_abs_diff_eq!(share, power.within(margin, effect), epsilon = 0.03);
            if times >= 1.0 {
                // at the margin and beyond, "equal" is false
                assert!(share <= 0.05 + 0.01, "{share}");
            }
        }
        let margin = power.smallest_margin();
        assert_abs_diff_eq!(power.within(margin, 0.0), POWER, epsilon = 0.002);
    }

    #[test]
    fn verdicts_are_found_as_often_as_they_say() {
        for (n, tests) in [(6, 1), (8, 4)] {
            let effect = verdict_effect(n, 0.05, tests).unwrap();
            let share = simulated(n, effect, |study| {
                let p = crate::stats::sign_flip(study, 0) * tests as f64;
                p <= 0.05 && t_interval(study, 0.95).low > 0.0
            });
            assert_abs_diff_eq!(share, POWER, epsilon = 0.03);
            assert_abs_diff_eq!(verdict_power(effect, n, 0.05, tests), POWER, epsilon = 0.01);
        }
        // without any effect: at most 5 % of the studies find one, on both sides together
        let share = simulated(6, 0.0, |study| crate::stats::sign_flip(study, 0) <= 0.05);
        assert!(share <= 0.05, "{share}");
    }

    #[test]
    fn few_seeds_find_nothing() {
        assert_eq!(verdict_effect(5, 0.05, 1), None);
        assert_eq!(verdict_effect(6, 0.05, 2), None);
        assert_eq!(verdict_power(100.0, 5, 0.05, 1), 0.0);
    }

    #[test]
    fn more_seeds_find_smaller_effects() {
        let effects: Vec<f64> = [6, 7, 9, 12, 13, 20]
            .map(|n| verdict_effect(n, 0.05, 1).unwrap())
            .to_vec();
        assert!(effects.is_sorted_by(|a, b| a >= b), "{effects:?}");
        let n = seeds_to_find(1.0, 0.05, 1).unwrap();
        assert!((10..=12).contains(&n), "{n}");
        assert_eq!(seeds_to_find(100.0, 0.05, 1), Some(6));
        assert_eq!(seeds_to_find(0.01, 0.05, 1), None);
    }
}
