//! Equivalence of every two arms of an ablation.

use super::comparable::obstacle;
use super::table::AblationReport;
use super::{ArmReport, Budget};
use crate::stats::Interval;

/// The level of the two one-sided tests of equivalence is 5 % each: that of a 90 % interval.
const LEVEL: f64 = 0.9;

impl AblationReport {
    /// For every two arms the smallest margin within which their scores are equal, by two one-sided tests at 5 % (Schuirmann
    /// 1987): the larger end of the 90 % interval of their difference. None for an arm and itself, with one seed, and for
    /// arms that are not comparable.
    ///
    /// # Shapes
    ///
    /// - output: `[n_arms][n_arms]`, symmetric
    pub fn equal_within(&self) -> Vec<Vec<Option<f64>>> {
        let margin = |a: &ArmReport, b: &ArmReport| {
            let is_fair = a.evaluation == b.evaluation
                && obstacle(&a.seeds, &b.seeds, Budget::Active).is_none();
            if a.label == b.label || !is_fair {
                return None;
            }
            let Interval { low, high } = self.pairing.interval(&a.seeds, &b.seeds, LEVEL)?;
            Some(high.max(-low))
        };
        let row = |a: &ArmReport| self.arms.iter().map(|b| margin(a, b)).collect();
        self.arms.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ablate::{AblationConfig, ArmResult};

    #[test]
    fn the_larger_end_of_the_interval_is_the_margin() {
        let mut arms = [
            ArmResult::of_losses("a", &[1.0, 5.0, 2.0]),
            ArmResult::of_losses("b", &[1.1, 5.11, 2.12]),
            ArmResult::of_losses("larger", &[1.0, 5.0, 2.0]),
        ];
        for seed in &mut arms[2].seeds {
            seed.params_active = 2;
        }
        let report = AblationReport::new(&arms, &AblationConfig::default()).unwrap();
        let found = report.equal_within();
        // differences 0.1, 0.11, 0.12: 0.11 +- 2.920 * 0.01 / sqrt 3 = 0.11 +- 0.0169
        assert!((found[0][1].unwrap() - 0.1269).abs() < 1e-4, "{found:?}");
        assert!((found[1][0].unwrap() - 0.1269).abs() < 1e-4, "{found:?}");
        assert_eq!((found[0][0], found[0][2], found[2][1]), (None, None, None));
    }
}
