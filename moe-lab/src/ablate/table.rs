//! The table of an ablation, or of another program's scores: every arm against the baseline, seed against same seed.
//!
//! The first arm is the baseline. An arm with another budget is reported as not comparable and gets
//! neither a p-value nor a place in Holm's correction. The value itself is the JSON document.

mod arms;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arm_report::ArmReport;
use super::claim::{Claim, Explored};
use super::differ::Difference;
use super::error::TableError;
use super::given::{Given, Pairing};
use super::outcome::ArmResult;
use super::rule::{ClaimReport, Decision, Levels, Look, together};
use super::scale::Scaling;
use super::sweep::Sweep;
use super::tune::TuneReport;
use crate::stats::{
    CompareConfig, Comparison, Goal, holm, smallest_holm, smallest_p, verdict_effect,
};
use moe_train::task::Merit;

/// Options of the comparison of arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AblationConfig {
    /// The largest corrected p-value that counts as a difference. Default: 0.05
    pub alpha: f64,
    /// The margin of equality and the making of the intervals.
    pub compare: CompareConfig,
}

impl Default for AblationConfig {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            compare: CompareConfig::default(),
        }
    }
}

/// The whole table; serialise it for the JSON document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AblationReport {
    /// The score that arms are compared by, in words: "validation bits per byte".
    pub metric: String,
    /// The same as a value.
    #[serde(default)]
    pub merit: Merit,
    /// The better direction of it.
    pub goal: Goal,
    /// Name of the baseline, the first arm.
    pub baseline: String,
    /// The seeds that every arm ran; those of the baseline where arms have other ones.
    pub seeds: Vec<u64>,
    /// The largest corrected p-value that counts as a difference.
    pub alpha: f64,
    /// The margin of equality and the making of the intervals.
    pub compare: CompareConfig,
    /// Number of arms that were compared, which Holm's correction corrects for.
    pub n_compared: usize,
    /// The smallest p-value that these seeds can reach.
    pub smallest_p: f64,
    /// The same after Holm's correction.
    pub smallest_p_holm: f64,
    /// The arms, the baseline first.
    pub arms: Vec<ArmReport>,
    /// The keys in which the arms differ, if they were planned together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// The kinds of devices that the runs were made on, if there were several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// The tuning of each arm before the decision, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<TuneReport>,
    /// The baseline at other budgets, if it was trained with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// The arms that make a curve, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// The claim that the arms decide, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimReport>,
    /// The comparison of arms: seed against same seed, but for tables of other programs.
    #[serde(default, skip_serializing_if = "Pairing::is_default")]
    pub pairing: Pairing,
    /// The table of another program that the scores are of, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
}

impl AblationReport {
    /// Compares all arms with the first, or with the first of the same evaluation.
    ///
    /// # Errors
    ///
    /// [`TableError`] without arms or seeds, with a name or a seed twice, or where an arm and the
    /// baseline have different seeds.
    pub fn new(results: &[ArmResult], config: &AblationConfig) -> Result<Self, TableError> {
        Self::compared(results, config, Pairing::Required, None)
    }

    /// Compares scores of another program's table, each run's in place of its loss.
    ///
    /// # Errors
    ///
    /// [`TableError`] without arms or seeds, or with a name or a seed twice.
    pub fn given(
        results: &[ArmResult],
        config: &AblationConfig,
        given: Given,
        pairing: Pairing,
    ) -> Result<Self, TableError> {
        Self::compared(results, config, pairing, Some(given))
    }

    fn compared(
        results: &[ArmResult],
        config: &AblationConfig,
        pairing: Pairing,
        given: Option<Given>,
    ) -> Result<Self, TableError> {
        let goal = given.as_ref().map(|given| given.goal);
        let (arms, n_compared) = rows(results, config, pairing, goal)?;
        let merit = arms.first().ok_or(TableError::NoArms)?.merit();
        let seeds: Vec<u64> = arms[0].seeds.iter().map(|result| result.seed).collect();
        let smallest_p = reachable_p(&arms).unwrap_or_else(|| smallest_p(seeds.len()));

        Ok(Self {
            metric: match &given {
                Some(given) => given.metric.clone(),
                None => merit.of_validation().into(),
            },
            merit,
            goal: goal.unwrap_or(merit.goal()),
            baseline: arms[0].label.clone(),
            seeds,
            alpha: config.alpha,
            compare: config.compare,
            n_compared,
            smallest_p,
            smallest_p_holm: smallest_holm(smallest_p, n_compared),
            arms,
            differences: Vec::new(),
            devices: Vec::new(),
            tuning: None,
            scaling: None,
            sweep: None,
            claim: None,
            pairing,
            given,
        })
    }

    /// The score in a word: `loss` or `accuracy`, or the column of another program's table.
    pub fn quantity(&self) -> &str {
        match &self.given {
            Some(given) => &given.metric,
            None => self.merit.quantity(),
        }
    }

    /// The unit of the score as tables show it; `None` of another program's, whose unit is not known.
    pub fn unit(&self) -> Option<&'static str> {
        self.given.is_none().then(|| self.merit.unit())
    }

    /// Decides a claim by the results of its arms; not if the runs were changed by something. Some runs may have been
    /// made for another version of the claim.
    pub fn decide(
        &mut self,
        claim: &Claim,
        changed_by: Option<&str>,
        runs_of_another_version: usize,
    ) {
        let look = claim.look.map(|after| Look {
            after,
            of: claim.seeds,
            ended: self.seeds.len() as u64 == after,
        });
        let levels = Levels::of(look);
        let rules = claim.rules.iter();
        let mut rules: Vec<_> = rules.flat_map(|rule| rule.decide(self, levels)).collect();
        if changed_by.is_some() {
            rules
                .iter_mut()
                .for_each(|rule| rule.decision = Decision::NotDecided);
        }
        self.claim = Some(ClaimReport {
            hypothesis: claim.hypothesis.clone(),
            source: claim.source.clone(),
            explored: claim.explored.as_ref().map(Explored::text),
            look,
            levels,
            runs_of_another_version,
            decision: together(&rules),
            changed_by: changed_by.map(str::to_owned),
            rules,
        });
    }
}

/// The arms with their comparisons and verdicts, and the number of those compared. The goal is that of the arms' merit
/// unless one is given.
fn rows(
    results: &[ArmResult],
    config: &AblationConfig,
    pairing: Pairing,
    goal: Option<Goal>,
) -> Result<(Vec<ArmReport>, usize), TableError> {
    let arms: Result<Vec<ArmReport>, TableError> = results.iter().map(ArmReport::new).collect();
    let mut arms = arms?;
    arms::check_arms(&arms, pairing)?;
    compare_arms(&mut arms, config, pairing);
    let n_compared = correct(&mut arms, config.alpha);
    for arm in &mut arms {
        arm.draw_verdict(goal.unwrap_or(arm.merit().goal()), config.alpha);
    }
    Ok((arms, n_compared))
}

/// Compares each arm with the first of its evaluation.
fn compare_arms(arms: &mut [ArmReport], config: &AblationConfig, pairing: Pairing) {
    for i in 1..arms.len() {
        let (before, rest) = arms.split_at_mut(i);
        let arm = &mut rest[0];
        let baseline = before
            .iter()
            .find(|other| other.evaluation == arm.evaluation);
        if let Some(baseline) = baseline {
            arm.compare(baseline, config, pairing);
        }
    }
}

/// Fills in Holm's correction over all compared arms, and what they would have seen, and returns their number.
fn correct(arms: &mut [ArmReport], alpha: f64) -> usize {
    let mut comparisons: Vec<&mut Comparison> = arms
        .iter_mut()
        .filter(|arm| arm.comparable)
        .filter_map(|arm| arm.comparison.as_mut())
        .collect();
    // with one seed there is no test
    let n_tested = comparisons.iter().filter(|c| c.p.is_some()).count();
    let n_compared = if n_tested > 0 {
        n_tested
    } else {
        comparisons.len()
    };
    let corrected = |p: fn(&Comparison) -> Option<f64>| -> Vec<Option<f64>> {
        let known: Vec<f64> = comparisons.iter().filter_map(|c| p(c)).collect();
        let mut known = holm(&known).into_iter();
        let each = comparisons.iter().map(|c| p(c).and_then(|_| known.next()));
        each.collect()
    };
    let (p, p_equal) = (corrected(|c| c.p), corrected(|c| c.p_equal));
    // what Holm's correction can reach where every arm reaches its least
    let least = corrected(|c| c.p.map(|_| c.smallest_p));
    // simulated once for all arms of as many seeds
    let mut effects: BTreeMap<usize, Option<f64>> = BTreeMap::new();
    for (i, comparison) in comparisons.iter_mut().enumerate() {
        comparison.n_tests = n_compared;
        comparison.smallest_p_holm =
            least[i].unwrap_or_else(|| smallest_holm(comparison.smallest_p, n_compared));
        comparison.p_holm = p[i];
        comparison.p_equal = p_equal[i];
        **comparison = comparison.clone().corrected(alpha, |n, tests| {
            *effects
                .entry(n)
                .or_insert_with(|| verdict_effect(n, alpha, tests))
        });
    }

    n_compared
}

/// The smallest p-value that a comparison can reach, if there is one.
fn reachable_p(arms: &[ArmReport]) -> Option<f64> {
    let comparisons = arms.iter().filter_map(|arm| arm.comparison.as_ref());
    comparisons.map(|c| c.smallest_p).reduce(f64::min)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ablate::Spread;
    use crate::ablate::outcome::testing::seed_result;
    use crate::stats::Verdict;

    fn arm(label: &str, losses: &[f64]) -> ArmResult {
        ArmResult {
            label: label.into(),
            evaluation: None,
            seeds: (0..)
                .zip(losses)
                .map(|(seed, loss)| seed_result(seed, *loss))
                .collect(),
        }
    }

    fn report(results: &[ArmResult]) -> AblationReport {
        AblationReport::new(results, &AblationConfig::default()).unwrap()
    }

    fn error(results: &[ArmResult]) -> TableError {
        AblationReport::new(results, &AblationConfig::default()).unwrap_err()
    }

    #[test]
    fn three_seeds_by_hand() {
        // b - a = 1, 2, 3: mean 2, p = 2/8; c - a = 1, 2, -1: p = 6/8. Holm over two tests:
        // 2 * 0.25 = 0.5 and 0.75.
        let report = report(&[
            arm("a", &[1.0, 1.0, 1.0]),
            arm("b", &[2.0, 3.0, 4.0]),
            arm("c", &[2.0, 3.0, 0.0]),
        ]);
        let b = report.arms[1].comparison.as_ref().unwrap();
        let c = report.arms[2].comparison.as_ref().unwrap();

        assert_eq!(
            (b.mean_difference, b.p, b.p_holm),
            (2.0, Some(0.25), Some(0.5))
        );
        assert_eq!((c.p, c.p_holm), (Some(0.75), Some(0.75)));
        // 2 +- 4.303 / sqrt 3
        let interval = b.interval.unwrap();
        assert!((interval.low + 0.484).abs() < 1e-3 && (interval.high - 4.484).abs() < 1e-3);
        assert_eq!(
            report.arms[1].loss,
            Spread {
                mean: 3.0,
                std: Some(1.0)
            }
        );
        assert_eq!((report.smallest_p, report.smallest_p_holm), (0.25, 0.5));
        assert_eq!(
            report.arms[1].verdict,
            Some(Verdict::Undecided { seeds: Some(7) })
        );
        assert_eq!(
            (report.n_compared, report.arms[0].verdict.clone()),
            (2, None)
        );
    }

    #[test]
    fn arms_are_compared_within_an_evaluation() {
        let evaluated = |label: &str, way: &str, losses: &[f64]| ArmResult {
            evaluation: Some(way.into()),
            ..arm(label, losses)
        };
        // b - a is 1 in the first evaluation and -2 in the second, and no arm is compared across them
        let report = report(&[
            evaluated("a, 1", "1", &[1.0, 1.0]),
            evaluated("b, 1", "1", &[2.0, 2.0]),
            evaluated("a, 2", "2", &[7.0, 7.0]),
            evaluated("b, 2", "2", &[5.0, 5.0]),
        ]);
        let difference = |i: usize| {
            report.arms[i]
                .comparison
                .as_ref()
                .map(|c| c.mean_difference)
        };
        assert_eq!(
            [0, 1, 2, 3].map(difference),
            [None, Some(1.0), None, Some(-2.0)]
        );
        let baselines: Vec<bool> = report.arms.iter().map(ArmReport::is_baseline).collect();
        assert_eq!(baselines, [true, false, true, false]);
        assert_eq!(
            (report.n_compared, report.arms[2].verdict.clone()),
            (2, None)
        );
    }

    #[test]
    fn six_seeds_decide() {
        let base = [2.0; 6];
        let report = report(&[arm("a", &base), arm("b", &[1.9, 1.8, 1.9, 1.7, 1.9, 1.8])]);

        assert_eq!(report.arms[1].verdict, Some(Verdict::Better));
        assert_eq!(
            report.arms[1].comparison.as_ref().unwrap().p_holm,
            Some(0.03125)
        );
    }

    #[test]
    fn arms_within_a_margin_are_equal() {
        let arms = [
            arm("a", &[2.0, 2.1, 2.2]),
            arm("b", &[2.001, 2.099, 2.2]),
            arm("c", &[2.1, 2.2, 2.31]),
        ];
        let mut config = AblationConfig::default();
        config.compare.margin = Some(0.01);
        let report = AblationReport::new(&arms, &config).unwrap();
        let verdict = |i: usize| report.arms[i].verdict.clone().unwrap();
        assert_eq!(verdict(1), Verdict::Equal { margin: 0.01 });
        assert_eq!(verdict(2), Verdict::Undecided { seeds: Some(7) });
        // Holm: the smaller of the two p-values counts twice
        let p = report.arms[1].comparison.as_ref().unwrap().p_equal.unwrap();
        let alone = AblationReport::new(&arms[..2], &config).unwrap();
        let raw = alone.arms[1].comparison.as_ref().unwrap().p_equal.unwrap();
        assert!((p - 2.0 * raw).abs() < 1e-12);
    }

    #[test]
    fn a_verdict_without_a_difference_says_what_would_have_been_seen() {
        let report = report(&[
            arm("a", &[2.0; 6]),
            arm("b", &[1.9, 2.1, 1.9, 2.1, 2.0, 2.0]),
        ]);
        let Some(Verdict::NoDifference { visible: Some(d) }) = report.arms[1].verdict else {
            panic!("{:?}", report.arms[1].verdict);
        };
        // the standard deviation is 0.0894
        assert!((0.1..0.3).contains(&d), "{d}");
    }

    #[test]
    fn an_arm_that_is_not_comparable_gets_no_p() {
        let mut short = arm("short", &[0.5, 0.5, 0.5]);
        short.seeds[2].steps = 100;
        let report = report(&[arm("a", &[1.0; 3]), short, arm("b", &[2.0, 3.0, 4.0])]);
        let short = &report.arms[1];

        assert!(!short.comparable);
        let comparison = short.comparison.as_ref().unwrap();
        assert_eq!((comparison.p, comparison.p_holm), (None, None));
        assert_eq!(
            short.verdict.as_ref().unwrap().to_string(),
            "not comparable: steps differ: 100 against 200"
        );
        // Only `b` is tested, so its p-value is not multiplied.
        assert_eq!(report.n_compared, 1);
        assert_eq!(
            report.arms[2].comparison.as_ref().unwrap().p_holm,
            Some(0.25)
        );
    }

    #[test]
    fn seeds_pair_by_number() {
        let mut shuffled = arm("b", &[2.0, 3.0, 4.0]);
        shuffled.seeds.reverse();
        let report = report(&[arm("a", &[1.0, 2.0, 3.0]), shuffled]);

        let comparison = report.arms[1].comparison.as_ref().unwrap();
        assert_eq!(comparison.std_difference, Some(0.0));
    }

    #[test]
    fn one_seed_has_no_test() {
        let report = report(&[arm("a", &[1.0]), arm("b", &[2.0])]);

        let undecided = Verdict::Undecided { seeds: Some(6) };
        assert_eq!(report.arms[1].verdict, Some(undecided));
        assert_eq!(report.arms[1].comparison.as_ref().unwrap().p_holm, None);
    }

    #[test]
    fn one_seed_that_leaks_marks_the_arm() {
        let mut leaky = arm("b", &[2.0, 2.0]);
        leaky.seeds[1].causal = false;
        let report = report(&[arm("a", &[1.0, 1.0]), leaky]);

        assert!(report.arms[0].causal && !report.arms[1].causal);
    }

    #[test]
    fn json_is_one_document() {
        let mut diverged = arm("b", &[2.0, f64::NAN]);
        diverged.seeds[1].causal = false;
        let report = report(&[arm("a", &[1.0, 1.5]), diverged, arm("c", &[2.0, 2.5])]);
        let json = serde_json::to_value(&report).unwrap();

        assert_eq!(json["metric"], "validation bits per byte");
        assert_eq!(json["goal"], "lower");
        assert_eq!(json["baseline"], "a");
        assert_eq!(json["seeds"], serde_json::json!([0, 1]));
        assert_eq!(json["arms"][0]["verdict"], serde_json::Value::Null);
        assert_eq!(json["arms"][0]["loss"]["mean"], 1.25);
        assert_eq!(json["arms"][1]["comparable"], false);
        assert_eq!(
            json["arms"][1]["reason"],
            "its score is not finite for seed 1"
        );
        assert_eq!(json["arms"][1]["verdict"]["kind"], "not_comparable");
        assert_eq!(json["arms"][1]["loss"]["mean"], serde_json::Value::Null);
        assert_eq!(json["arms"][2]["comparison"]["mean_difference"], 1.0);
        assert_eq!(json["arms"][2]["verdict"]["kind"], "undecided");

        let back: AblationReport = serde_json::from_value(json).unwrap();
        assert_eq!(back.arms[2], report.arms[2]);
        assert!(back.arms[1].loss.mean.is_nan());
    }

    #[test]
    fn errors_say_what_to_do() {
        assert_eq!(error(&[]), TableError::NoArms);
        assert_eq!(
            error(&[arm("a", &[])]).to_string(),
            "the arm `a` has no seeds; run it first"
        );
        assert_eq!(
            error(&[arm("a", &[1.0]), arm("a", &[1.0])]).to_string(),
            "two arms are called `a`; give each its own name"
        );
        assert_eq!(
            error(&[arm("a", &[1.0, 1.0, 1.0]), arm("b", &[1.0, 1.0])]).to_string(),
            "the arm `b` has seeds 0, 1, but the baseline `a` has 0, 1, 2; run the missing seeds, \
             since arms are compared seed by seed"
        );
        let mut twice = arm("a", &[1.0, 1.0]);
        twice.seeds[1].seed = 0;
        assert_eq!(
            error(&[twice]).to_string(),
            "the arm `a` has seed 0 twice; keep one result a seed"
        );
    }
}
