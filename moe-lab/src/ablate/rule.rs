//! The rules that decide a claim: an arm's mean over seeds against a number or another arm's.

use super::comparable::obstacle;
use super::outcome::SeedResult;
use super::table::AblationReport;
use crate::stats::{Interval, mean, mean_interval};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The number of each run that a rule looks at, from its last evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Validation loss: of text bits per byte, of images nats an image.
    Loss,
    /// The share of validation images named right.
    Accuracy,
    /// Largest load over mean load, minus one.
    MaxVio,
    /// Entropy of the experts' load over that of a balanced one.
    Entropy,
    /// Share of dropped assignments.
    DropRate,
    /// Experts without any token.
    DeadExperts,
}

/// The bound or arm that an arm is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    /// A number.
    Number(f64),
    /// Another arm, seed against same seed.
    Arm(String),
}

/// Each of some arms lies above, or below, a bound. Exactly one of `above` and `below` is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The arms; the rule is about each of them.
    pub arms: Vec<String>,
    /// The things compared.
    pub metric: Metric,
    /// The arm's mean is larger than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Bound>,
    /// The arm's mean is smaller than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<Bound>,
}

/// The decision on a rule or a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The interval of the difference lies on the claimed side.
    Pass,
    /// The interval of the difference lies on the other side.
    Fail,
    /// The interval contains the bound, there is one seed, a number is not finite, or the two arms are not
    /// comparable.
    Inconclusive,
    /// The runs are not those of the claim's file: something was changed on the command line.
    NotDecided,
}

/// A rule about one arm, decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// The rule in words.
    pub rule: String,
    /// The mean of the arm minus the bound; `None` if it is not finite.
    pub difference: Option<f64>,
    /// The bootstrap interval of that mean; `None` with one seed or if it is not finite.
    pub interval: Option<Interval>,
    /// Why the two arms of the rule are not comparable, if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The decision.
    pub decision: Decision,
}

/// A claim, decided: it fails if a rule fails, and passes if all pass. The interval of each rule stands for
/// itself: it is not widened for the number of rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimReport {
    /// The claim.
    pub hypothesis: String,
    /// The authors of the claim, and where they make it.
    pub source: String,
    /// Each rule about each of its arms.
    pub rules: Vec<RuleReport>,
    /// Changes by the command line, so that the claim was not decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// The decision.
    pub decision: Decision,
}

impl Metric {
    /// The metric's name in files and sentences.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Loss => "loss",
            Metric::Accuracy => "accuracy",
            Metric::MaxVio => "max_vio",
            Metric::Entropy => "entropy",
            Metric::DropRate => "drop_rate",
            Metric::DeadExperts => "dead_experts",
        }
    }

    /// The metric of a run.
    pub fn of(self, result: &SeedResult) -> f64 {
        match self {
            Metric::Loss => result.loss,
            Metric::Accuracy => result.accuracy.unwrap_or(f64::NAN),
            Metric::MaxVio => result.max_vio,
            Metric::Entropy => result.entropy,
            Metric::DropRate => result.drop_rate,
            Metric::DeadExperts => result.dead_experts,
        }
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
    /// Checks the rule against the names of the arms.
    pub(super) fn check(&self, names: &[String]) -> Result<(), String> {
        let bound = match (&self.above, &self.below) {
            (Some(bound), None) | (None, Some(bound)) => bound,
            _ => return Err("a rule needs one of `above` and `below`".into()),
        };
        let bound = match bound {
            Bound::Arm(arm) => Some(arm),
            Bound::Number(_) => None,
        };
        if self.arms.is_empty() {
            return Err("a rule needs at least one arm in `arms`".into());
        }
        match self
            .arms
            .iter()
            .chain(bound)
            .find(|arm| !names.contains(arm))
        {
            Some(arm) => Err(format!(
                "a rule names no arm `{arm}`; the arms are {}",
                names.join(", ")
            )),
            None => Ok(()),
        }
    }

    /// Decides the rule for each of its arms.
    pub(super) fn decide(&self, report: &AblationReport) -> Vec<RuleReport> {
        self.arms
            .iter()
            .map(|arm| self.decide_arm(arm, report))
            .collect()
    }

    fn decide_arm(&self, label: &str, report: &AblationReport) -> RuleReport {
        let (bound, side, sign) = match (&self.above, &self.below) {
            (Some(bound), _) => (bound, "above", 1.0),
            (_, Some(bound)) => (bound, "below", -1.0),
            (None, None) => unreachable!("a rule is checked when it is read"),
        };
        let arm = results(label, report);
        let values = self.values(arm);
        let (against, name) = match bound {
            Bound::Number(number) => (vec![*number; values.len()], number.to_string()),
            Bound::Arm(other) => {
                let against = self.values(results(other, report));
                (against, format!("that of `{other}`"))
            }
        };
        let reason = match bound {
            Bound::Number(_) => None,
            Bound::Arm(other) => obstacle(results(other, report), arm),
        };
        let differences: Vec<f64> = values.iter().zip(against).map(|(a, b)| a - b).collect();
        let finite = !differences.is_empty() && differences.iter().all(|d| d.is_finite());
        let interval = (finite && differences.len() > 1)
            .then(|| mean_interval(&differences, &report.bootstrap));
        RuleReport {
            rule: format!("{} of `{label}` is {side} {name}", self.metric.name()),
            difference: finite.then(|| mean(&differences)),
            interval,
            decision: interval
                .filter(|_| reason.is_none())
                .map_or(Decision::Inconclusive, |interval| decide(interval, sign)),
            reason,
        }
    }

    fn values(&self, seeds: &[SeedResult]) -> Vec<f64> {
        seeds.iter().map(|seed| self.metric.of(seed)).collect()
    }
}

/// The results of the seeds of an arm.
fn results<'a>(label: &str, report: &'a AblationReport) -> &'a [SeedResult] {
    let arm = report.arms.iter().find(|arm| arm.label == label);
    arm.map_or(&[], |arm| &arm.seeds)
}

fn decide(interval: Interval, sign: f64) -> Decision {
    let ends = [interval.low * sign, interval.high * sign];
    if ends.iter().all(|&end| end > 0.0) {
        Decision::Pass
    } else if ends.iter().all(|&end| end < 0.0) {
        Decision::Fail
    } else {
        Decision::Inconclusive
    }
}

/// The decision of all rules together.
pub(super) fn together(rules: &[RuleReport]) -> Decision {
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
    use crate::ablate::{AblationConfig, ArmResult};

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
            seed,
            loss,
            accuracy: None,
            exact_match: None,
            tokens_per_s: 1.0,
            max_vio: 0.5,
            entropy: 0.9,
            drop_rate: 0.0,
            dead_experts: 3.0,
            steps: 1,
            tokens: 1,
            params_active: 1,
            causal: true,
            causal_in_training: true,
            measured: None,
        }
    }

    fn rule(metric: Metric, above: Option<Bound>, below: Option<Bound>) -> Rule {
        Rule {
            arms: vec!["b".into()],
            metric,
            above,
            below,
        }
    }

    fn decision(report: &AblationReport, rule: &Rule) -> Decision {
        rule.decide(report)[0].decision
    }

    #[test]
    fn a_number_is_a_bound() {
        let report = report(&[("a", &[1.0, 1.0]), ("b", &[2.0, 2.5])]);
        let dead = |above| rule(Metric::DeadExperts, Some(Bound::Number(above)), None);
        assert_eq!(decision(&report, &dead(2.0)), Decision::Pass); // 3 - 2 in both seeds
        assert_eq!(decision(&report, &dead(4.0)), Decision::Fail);
        assert_eq!(decision(&report, &dead(3.0)), Decision::Inconclusive); // 0 is not above 0
    }

    #[test]
    fn an_arm_is_compared_seed_by_seed() {
        let above = rule(Metric::Loss, Some(Bound::Arm("a".into())), None);
        let below = rule(Metric::Loss, None, Some(Bound::Arm("a".into())));
        // differences 0.1 and 0.2, though the losses of the seeds lie far apart
        let report = report(&[("a", &[1.0, 5.0]), ("b", &[1.1, 5.2])]);
        assert_eq!(decision(&report, &above), Decision::Pass);
        assert_eq!(decision(&report, &below), Decision::Fail);
        let decided = &above.decide(&report)[0];
        assert_eq!(decided.rule, "loss of `b` is above that of `a`");
        assert!((decided.difference.unwrap() - 0.15).abs() < 1e-12);
    }

    #[test]
    fn mixed_seeds_one_seed_and_divergence_are_inconclusive() {
        let above = rule(Metric::Loss, Some(Bound::Arm("a".into())), None);
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
        let mut arms = report(&[("a", &[1.0, 1.0]), ("b", &[2.0, 2.5])]);
        arms.arms[1].seeds[1].params_active = 2;
        let than = |bound| rule(Metric::Loss, Some(bound), None);
        let between = &than(Bound::Arm("a".into())).decide(&arms)[0];
        assert_eq!(between.decision, Decision::Inconclusive);
        assert_eq!(
            between.reason.as_deref(),
            Some("active parameters differ by more than 1 %: 2 against 1")
        );
        // a number has no budget
        assert_eq!(decision(&arms, &than(Bound::Number(1.5))), Decision::Pass);
    }

    #[test]
    fn one_failure_fails_a_claim() {
        let with = |decision| RuleReport {
            rule: String::new(),
            difference: None,
            interval: None,
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
