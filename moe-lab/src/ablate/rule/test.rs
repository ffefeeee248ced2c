//! The numbers that a rule is decided by: a mean difference with its interval.

use super::Statement;
use crate::stats::{Interval, IntervalPower, Welch, mean, sample_std, t_interval};

/// The differences of a rule, summed up.
pub(super) struct Test {
    n: usize,
    pub(super) mean: Option<f64>,
    std: Option<f64>,
    pub(super) interval: Option<Interval>,
}

impl Test {
    /// The difference of an arm to what it is held against, seed against same seed or not.
    pub(super) fn of_arms(against: &[f64], arm: &[f64], is_paired: bool, level: f64) -> Self {
        if !is_paired {
            return Self::of_samples(against, arm, level);
        }
        let pairs = arm.iter().zip(against);
        let differences: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
        Self::of(&differences, level)
    }

    /// The mean of paired differences with its interval.
    pub(super) fn of(differences: &[f64], level: f64) -> Self {
        let finite = !differences.is_empty() && differences.iter().all(|d| d.is_finite());
        let several = finite && differences.len() > 1;
        Self {
            n: differences.len(),
            mean: finite.then(|| mean(differences)),
            std: sample_std(differences).filter(|_| several),
            interval: several.then(|| t_interval(differences, 1.0 - 2.0 * level)),
        }
    }

    /// The difference of two arms of other seeds.
    fn of_samples(baseline: &[f64], arm: &[f64], level: f64) -> Self {
        let finite = baseline.iter().chain(arm).all(|x| x.is_finite());
        let welch = Welch::of(baseline, arm).filter(|_| finite);
        Self {
            n: baseline.len().min(arm.len()),
            mean: welch.map(|welch| welch.difference),
            std: None,
            interval: welch.map(|welch| welch.interval(1.0 - 2.0 * level)),
        }
    }

    /// The smallest true difference, or margin, that most such studies show; `None` of arms of other seeds.
    pub(super) fn visible(&self, statement: &Statement, level: f64) -> Option<f64> {
        let std = self.std?;
        let power = IntervalPower::new(self.n, level);
        Some(match statement {
            Statement::Equals(..) => std * power.smallest_margin(),
            _ => std * power.smallest_above(),
        })
    }
}
