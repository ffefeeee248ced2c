//! The decision of rules by the results of runs.

use super::test::Test;
use super::{Bound, Levels, Look, Rule, Statement};
use crate::ablate::comparable::{Budget, obstacle};
use crate::ablate::{AblationReport, SeedResult};
use crate::stats::{Interval, trend, trend_effect};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The decision on a rule or a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The statement is shown.
    Pass,
    /// The opposite is shown.
    Fail,
    /// Neither is shown, there is one seed, a number is not finite, or the arms are not comparable.
    Inconclusive,
    /// The runs are not those of the claim's file: something was changed on the command line.
    NotDecided,
}

/// A rule about one arm, or about an order of arms, decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// The rule in words.
    pub rule: String,
    /// The mean of the arm minus the bound, or the mean slope from arm to arm; `None` if it is not finite.
    pub difference: Option<f64>,
    /// Student's t interval of that mean; `None` with one seed or if it is not finite.
    pub interval: Option<Interval>,
    /// The level of the interval: 0.9 for an equality, and 0.95; higher with two looks.
    pub level: f64,
    /// One-sided p-value of Page's test, for a trend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// The smallest true difference to the bound (or margin, or slope) that 80 % of such studies would show;
    /// for an equality the smallest margin that they could show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visible: Option<f64>,
    /// Why the arms of the rule are not comparable, if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The decision.
    pub decision: Decision,
}

/// A claim, decided: it is what its weakest rule is. The interval of each rule stands for itself: it is not widened
/// for the number of rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimReport {
    /// The claim.
    pub hypothesis: String,
    /// The authors of the claim, and where they make it.
    pub source: String,
    /// The runs that were looked at before the rules were fixed, in words; none was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explored: Option<String>,
    /// Each rule about each of its arms.
    pub rules: Vec<RuleReport>,
    /// Changes by the command line, so that the claim was not decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// The look before all seeds were trained, if the claim has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
    /// The levels of its rules.
    #[serde(default)]
    pub levels: Levels,
    /// Runs that were made by another version of the claim's file, if there are such.
    #[serde(default)]
    pub runs_of_another_version: usize,
    /// The decision.
    pub decision: Decision,
}

impl ClaimReport {
    /// Tells whether the claim is shown, or its opposite.
    pub(in crate::ablate) fn is_decided(&self) -> bool {
        matches!(self.decision, Decision::Pass | Decision::Fail)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Decision::Pass => "PASS",
            Decision::Fail => "FAIL",
            Decision::Inconclusive => "INCONCLUSIVE",
            Decision::NotDecided => "not decided",
        })
    }
}

impl Rule {
    /// Decides the rule, for each of its arms if it is no trend.
    pub(crate) fn decide(&self, report: &AblationReport, levels: Levels) -> Vec<RuleReport> {
        match &self.statement {
            Statement::Trend { rises, along } => {
                vec![self.decide_trend(*rises, along, report, levels)]
            }
            Statement::Is(_, bound)
            | Statement::IsNot(_, bound, _)
            | Statement::Equals(bound, _) => self
                .arms
                .iter()
                .map(|arm| self.decide_arm(arm, bound, report, levels))
                .collect(),
        }
    }

    fn decide_arm(
        &self,
        label: &str,
        bound: &Bound,
        report: &AblationReport,
        levels: Levels,
    ) -> RuleReport {
        let arm = results(label, report);
        let values = self.values(arm);
        let (against, reason) = match bound {
            Bound::Number(number) => (vec![*number; values.len()], None),
            Bound::Arm(other) => {
                let other = results(other, report);
                (self.values(other), obstacle(other, arm, self.budget))
            }
        };
        let level = self.statement.level(levels);
        let is_paired = match bound {
            Bound::Arm(other) => report.pairing.pairs(results(other, report), arm),
            Bound::Number(_) => true,
        };
        let test = Test::of_arms(&against, &values, is_paired, level);
        RuleReport {
            rule: format!("{} of `{label}` {}", self.name(), self.statement),
            difference: test.mean,
            interval: test.interval,
            level: 1.0 - 2.0 * level,
            p: None,
            visible: test.visible(&self.statement, level),
            decision: test
                .interval
                .filter(|_| reason.is_none())
                .map_or(Decision::Inconclusive, |i| self.statement.decide(i)),
            reason,
        }
    }

    fn decide_trend(
        &self,
        rises: bool,
        along: &str,
        report: &AblationReport,
        levels: Levels,
    ) -> RuleReport {
        let arms: Vec<&[SeedResult]> = self.arms.iter().map(|arm| results(arm, report)).collect();
        let reason = arms
            .iter()
            .find_map(|arm| obstacle(arms[0], arm, Budget::Steps));
        let seed =
            |i: usize| -> Vec<f64> { arms.iter().map(|arm| self.metric.of(&arm[i])).collect() };
        let values: Vec<Vec<f64>> = (0..report.seeds.len()).map(seed).collect();
        let is_finite = values.iter().flatten().all(|x| x.is_finite());
        let found = (is_finite && reason.is_none()).then(|| trend(&values));
        let slopes = found.as_ref().map_or(&[][..], |found| &found.slopes);
        let test = Test::of(slopes, levels.interval);
        let p = found.as_ref().map(|found| {
            if rises {
                [found.p_rising, found.p_falling]
            } else {
                [found.p_falling, found.p_rising]
            }
        });
        let direction = if rises { "rises" } else { "falls" };
        RuleReport {
            rule: format!(
                "{} {direction} with {along} over {}",
                self.name(),
                self.arms.join(", ")
            ),
            difference: test.mean,
            interval: test.interval,
            level: 1.0 - 2.0 * levels.interval,
            p: p.map(|[p, _]| p),
            visible: found.map(|found| {
                found.noise * trend_effect(self.arms.len(), report.seeds.len(), levels.equal)
            }),
            reason,
            decision: of_order(p, levels.equal),
        }
    }

    fn values(&self, seeds: &[SeedResult]) -> Vec<f64> {
        seeds.iter().map(|seed| self.metric.of(seed)).collect()
    }
}

/// The decision by the p-values of an order and of the opposite one, if there are any.
fn of_order(p: Option<[f64; 2]>, level: f64) -> Decision {
    match p {
        Some([p, _]) if p <= level => Decision::Pass,
        Some([_, opposite]) if opposite <= level => Decision::Fail,
        _ => Decision::Inconclusive,
    }
}

impl Statement {
    /// The one-sided level of the interval that decides it.
    fn level(&self, levels: Levels) -> f64 {
        match self {
            Statement::Equals(..) => levels.equal,
            Statement::Is(..) | Statement::IsNot(..) | Statement::Trend { .. } => levels.interval,
        }
    }

    /// Decides by the interval of the difference to the bound.
    fn decide(&self, interval: Interval) -> Decision {
        let Interval { low, high } = interval;
        let (shown, refuted) = match self {
            Statement::Is(side, _) => beyond(interval, side.sign(), 0.0),
            Statement::IsNot(side, _, margin) => {
                let (is, is_not) = beyond(interval, side.sign(), *margin);
                (is_not, is)
            }
            Statement::Equals(_, margin) => (
                -margin < low && high < *margin,
                high < -margin || low > *margin,
            ),
            Statement::Trend { .. } => (false, false),
        };
        match (shown, refuted) {
            (true, _) => Decision::Pass,
            (_, true) => Decision::Fail,
            _ => Decision::Inconclusive,
        }
    }
}

/// Tells whether an interval lies wholly beyond `margin` on one side, and whether it lies wholly before it.
fn beyond(interval: Interval, sign: f64, margin: f64) -> (bool, bool) {
    let ends = [interval.low * sign, interval.high * sign];
    (
        ends.iter().all(|&end| end > margin),
        ends.iter().all(|&end| end < margin),
    )
}

/// The results of the seeds of an arm.
fn results<'a>(label: &str, report: &'a AblationReport) -> &'a [SeedResult] {
    let arm = report.arms.iter().find(|arm| arm.label == label);
    arm.map_or(&[], |arm| &arm.seeds)
}

/// The decision of all rules together.
pub(crate) fn together(rules: &[RuleReport]) -> Decision {
    let any = |decision| rules.iter().any(|rule| rule.decision == decision);
    if any(Decision::NotDecided) {
        Decision::NotDecided
    } else if any(Decision::Fail) {
        Decision::Fail
    } else if any(Decision::Inconclusive) || rules.is_empty() {
        Decision::Inconclusive
    } else {
        Decision::Pass
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ablate::{AblationConfig, ArmResult, Metric, Side};

    fn report(arms: &[(&str, &[f64])]) -> AblationReport {
        let arm = |(label, losses): &(&str, &[f64])| ArmResult {
            label: (*label).into(),
            evaluation: None,
            seeds: (0..)
                .zip(*losses)
                .map(|(seed, loss)| result(seed, *loss))
                .collect(),
        };
        let arms: Vec<ArmResult> = arms.iter().map(arm).collect();
        AblationReport::new(&arms, &AblationConfig::default()).unwrap()
    }

    fn result(seed: u64, loss: f64) -> SeedResult {
        SeedResult {
            dead_experts: 3.0,
            ..SeedResult::of_loss(seed, loss)
        }
    }

    fn rule(metric: Metric, statement: Statement) -> Rule {
        Rule {
            arms: vec!["b".into()],
            metric,
            column: None,
            statement,
            budget: Budget::Active,
        }
    }

    fn a() -> Bound {
        Bound::Arm("a".into())
    }

    fn decision(report: &AblationReport, rule: &Rule) -> Decision {
        rule.decide(report, Levels::default())[0].decision
    }

    #[test]
    fn a_number_is_a_bound() {
        let report = report(&[("a", &[1.0, 1.0]), ("b", &[2.0, 2.5])]);
        let dead = |above| {
            let above = Statement::Is(Side::Above, Bound::Number(above));
            rule(Metric::DeadExperts, above)
        };
        assert_eq!(decision(&report, &dead(2.0)), Decision::Pass); // 3 - 2 in both seeds
        assert_eq!(decision(&report, &dead(4.0)), Decision::Fail);
        assert_eq!(decision(&report, &dead(3.0)), Decision::Inconclusive); // 0 is not above 0
    }

    #[test]
    fn an_arm_is_compared_seed_by_seed() {
        let above = rule(Metric::Loss, Statement::Is(Side::Above, a()));
        let below = rule(Metric::Loss, Statement::Is(Side::Below, a()));
        // differences 0.1, 0.11, 0.12, though the losses of the seeds lie far apart:
        // 0.11 +- 4.303 * 0.01 / sqrt 3 = 0.11 +- 0.0248
        let report = report(&[("a", &[1.0, 5.0, 2.0]), ("b", &[1.1, 5.11, 2.12])]);
        assert_eq!(decision(&report, &above), Decision::Pass);
        assert_eq!(decision(&report, &below), Decision::Fail);
        let decided = &above.decide(&report, Levels::default())[0];
        assert_eq!(decided.rule, "loss of `b` is above that of `a`");
        assert!((decided.difference.unwrap() - 0.11).abs() < 1e-12);
        let interval = decided.interval.unwrap();
        assert!((interval.low - 0.0852).abs() < 1e-4 && (interval.high - 0.1348).abs() < 1e-4);
    }

    #[test]
    fn what_is_not_worse_may_be_better() {
        let not_above = |margin| rule(Metric::Loss, Statement::IsNot(Side::Above, a(), margin));
        // differences 0.1, 0.11, 0.12: in 0.0852 to 0.1348
        let worse = report(&[("a", &[1.0, 5.0, 2.0]), ("b", &[1.1, 5.11, 2.12])]);
        assert_eq!(decision(&worse, &not_above(0.2)), Decision::Pass);
        assert_eq!(decision(&worse, &not_above(0.1)), Decision::Inconclusive);
        assert_eq!(decision(&worse, &not_above(0.05)), Decision::Fail);
        let better = report(&[("a", &[1.1, 5.11, 2.12]), ("b", &[1.0, 5.0, 2.0])]);
        assert_eq!(decision(&better, &not_above(0.05)), Decision::Pass);
    }

    #[test]
    fn equality_needs_both_sides() {
        let equal = |margin| rule(Metric::Loss, Statement::Equals(a(), margin));
        // 90 %: 0.11 +- 2.920 * 0.01 / sqrt 3 = 0.11 +- 0.0169
        let report = report(&[("a", &[1.0, 5.0, 2.0]), ("b", &[1.1, 5.11, 2.12])]);
        assert_eq!(decision(&report, &equal(0.13)), Decision::Pass);
        assert_eq!(decision(&report, &equal(0.12)), Decision::Inconclusive);
        assert_eq!(decision(&report, &equal(0.09)), Decision::Fail);
        let decided = &equal(0.13).decide(&report, Levels::default())[0];
        assert_eq!(decided.rule, "loss of `b` is within 0.13 of that of `a`");
        assert_eq!(decided.level, 0.9);
    }

    #[test]
    fn a_trend_is_decided_by_its_order() {
        let falls = |rises| Rule {
            arms: ["a", "b", "c"].map(String::from).to_vec(),
            ..rule(
                Metric::Loss,
                Statement::Trend {
                    rises,
                    along: "experts.n_experts".into(),
                },
            )
        };
        // falling in both seeds: p = 1 / 36
        let report = report(&[("a", &[3.0, 3.1]), ("b", &[2.5, 2.4]), ("c", &[2.0, 2.2])]);
        assert_eq!(decision(&report, &falls(false)), Decision::Pass);
        assert_eq!(decision(&report, &falls(true)), Decision::Fail);
        let decided = &falls(false).decide(&report, Levels::default())[0];
        assert!((decided.p.unwrap() - 1.0 / 36.0).abs() < 1e-12);
        assert!((decided.difference.unwrap() + 0.475).abs() < 1e-12); // slopes -0.5 and -0.45
    }

    #[test]
    fn mixed_seeds_one_seed_and_divergence_are_inconclusive() {
        let above = rule(Metric::Loss, Statement::Is(Side::Above, a()));
        for (a, b) in [
            (&[1.0, 1.0][..], &[0.9, 1.2][..]),
            (&[1.0], &[2.0]),
            (&[1.0, 1.0], &[2.0, f64::NAN]),
        ] {
            let report = report(&[("a", a), ("b", b)]);
            assert_eq!(decision(&report, &above), Decision::Inconclusive);
        }
    }

    #[test]
    fn arms_of_different_budgets_decide_nothing_between_them() {
        let mut arms = report(&[("a", &[1.0, 1.0]), ("b", &[2.0, 2.01])]);
        arms.arms[1].seeds[1].params_active = 2;
        let than = |bound| rule(Metric::Loss, Statement::Is(Side::Above, bound));
        let between = &than(a()).decide(&arms, Levels::default())[0];
        assert_eq!(between.decision, Decision::Inconclusive);
        assert_eq!(
            between.reason.as_deref(),
            Some("active parameters differ by more than 1 %: 2 against 1")
        );
        // a number has no budget, and all parameters are equal
        assert_eq!(decision(&arms, &than(Bound::Number(1.5))), Decision::Pass);
        let by_total = Rule {
            budget: Budget::Total,
            ..than(a())
        };
        assert_eq!(decision(&arms, &by_total), Decision::Pass);
    }

    #[test]
    fn one_failure_fails_a_claim() {
        let with = |decision| RuleReport {
            rule: String::new(),
            difference: None,
            interval: None,
            level: 0.95,
            p: None,
            visible: None,
            reason: None,
            decision,
        };
        use Decision::{Fail, Inconclusive, Pass};
        for (decisions, expected) in [
            (&[Pass, Pass][..], Pass),
            (&[Pass, Inconclusive], Inconclusive),
            (&[Inconclusive, Fail, Pass], Fail),
            (&[], Inconclusive),
        ] {
            let rules: Vec<RuleReport> = decisions.iter().copied().map(with).collect();
            assert_eq!(together(&rules), expected);
        }
    }
}
