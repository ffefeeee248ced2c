//! Scores that another program measured: their table, and how its arms are paired.

use super::SeedResult;
use crate::stats::{Goal, Interval, Welch, t_interval};
use serde::{Deserialize, Serialize};

/// A table of another program, which holds the scores of an [`AblationReport`](super::AblationReport).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// The column of the scores.
    pub metric: String,
    /// The better direction of it.
    pub goal: Goal,
    /// The columns of the runs' costs, in which arms must agree.
    pub costs: Vec<String>,
    /// The column that says if a run is causal, if there is one.
    pub causal: Option<String>,
    /// The names of the seeds by their numbers, where they are no numbers themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seed_names: Vec<String>,
    /// Remarks on the table: rows that were left out, scores that are suspicious.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// The comparison of arms: seed against same seed, or as independent samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// Seed against same seed; an arm of other seeds than the baseline's is an error.
    #[default]
    Required,
    /// Seed against same seed where an arm has the seeds of its baseline, and else as independent samples.
    SameSeeds,
    /// As independent samples.
    Never,
}

impl Pairing {
    /// Tells whether it is that of an ablation.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::Required
    }

    /// Tells whether two arms are compared seed against same seed.
    pub(super) fn pairs(self, baseline: &[SeedResult], arm: &[SeedResult]) -> bool {
        let seeds = |runs: &[SeedResult]| -> Vec<u64> { runs.iter().map(|run| run.seed).collect() };
        match self {
            Self::Required => true,
            Self::SameSeeds => seeds(baseline) == seeds(arm),
            Self::Never => false,
        }
    }

    /// The interval of the difference of two arms in their scores; `None` with one seed.
    pub(super) fn interval(
        self,
        baseline: &[SeedResult],
        arm: &[SeedResult],
        level: f64,
    ) -> Option<Interval> {
        let scores =
            |runs: &[SeedResult]| -> Vec<f64> { runs.iter().map(SeedResult::score).collect() };
        let (theirs, ours) = (scores(baseline), scores(arm));
        if !self.pairs(baseline, arm) {
            return Some(Welch::of(&theirs, &ours)?.interval(level));
        }
        let differences: Vec<f64> = ours.iter().zip(theirs).map(|(b, a)| b - a).collect();
        (differences.len() > 1).then(|| t_interval(&differences, level))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ablate::{AblationConfig, AblationReport, ArmResult};
    use crate::stats::Verdict;

    fn given() -> Given {
        Given {
            metric: "f1".into(),
            goal: Goal::Higher,
            costs: Vec::new(),
            causal: None,
            seed_names: Vec::new(),
            remarks: Vec::new(),
        }
    }

    fn report(arms: &[ArmResult], pairing: Pairing) -> AblationReport {
        AblationReport::given(arms, &AblationConfig::default(), given(), pairing).unwrap()
    }

    fn arms() -> [ArmResult; 3] {
        let base = ArmResult::of_losses("a", &[1.0, 2.0, 3.0, 4.0]);
        let mut other = ArmResult::of_losses("other seeds", &[5.0, 6.0, 7.0, 8.0, 9.0]);
        other.seeds.iter_mut().for_each(|run| run.seed += 10);
        [
            base,
            ArmResult::of_losses("b", &[1.1, 2.1, 3.1, 4.2]),
            other,
        ]
    }

    #[test]
    fn arms_of_other_seeds_are_independent_samples() {
        let found = report(&arms(), Pairing::SameSeeds);
        let comparison = |i: usize| found.arms[i].comparison.as_ref().unwrap();
        assert!(comparison(1).unpaired.is_none() && comparison(2).unpaired.is_some());
        // 2 / 2^4 for the paired arm; for the other one 2 of C(9, 4) splits, {1..4} {5..9} and {6..9} {1..5}; Holm: twice
        // the smaller one
        assert_eq!(
            (comparison(1).p, comparison(2).p),
            (Some(0.125), Some(2.0 / 126.0))
        );
        assert_eq!(comparison(2).p_holm, Some(4.0 / 126.0));
        assert_eq!(found.arms[2].verdict, Some(Verdict::Better));
        assert_eq!(
            found.arms[1].verdict,
            Some(Verdict::Undecided { seeds: Some(7) })
        );

        let found = report(&arms(), Pairing::Never);
        let b = found.arms[1].comparison.as_ref().unwrap();
        assert_eq!(b.unpaired.as_ref().unwrap().n_arm, 4);
    }

    #[test]
    fn one_seed_in_one_arm_leaves_the_others_their_tests() {
        let mut arms = arms();
        arms[1].seeds.truncate(1);
        let found = report(&arms, Pairing::SameSeeds);
        let comparison = |i: usize| found.arms[i].comparison.as_ref().unwrap();
        assert_eq!((comparison(1).p, comparison(1).p_holm), (None, None));
        // one tested arm: no correction
        assert_eq!(comparison(2).p_holm, Some(2.0 / 126.0));
        assert_eq!(found.n_compared, 1);
    }

    #[test]
    fn equivalence_of_every_two_arms_follows_the_pairing() {
        let within = |pairing| report(&arms(), pairing).equal_within()[0][1].unwrap();
        // paired: 0.125 +- 2.353 * 0.05 / 2; the samples themselves have a standard deviation of 1.3
        assert!((within(Pairing::SameSeeds) - 0.1838).abs() < 1e-3);
        assert!(within(Pairing::Never) > 1.0);
    }

    #[test]
    fn costs_must_agree_within_one_percent() {
        let mut arms = arms();
        for (arm, cost) in arms.iter_mut().zip([100.0, 100.9, 0.5]) {
            for run in &mut arm.seeds {
                run.costs.insert("hours".into(), cost);
            }
        }
        let found = report(&arms, Pairing::SameSeeds);
        assert!(found.arms[1].comparable);
        let reason = found.arms[2].reason.as_deref();
        assert_eq!(
            reason,
            Some("`hours` differs by more than 1 %: 0.5 against 100")
        );
    }
}
