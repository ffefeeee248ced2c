//! A rule of a claim as a row of the picture of all claims: in words, in numbers, and how far it is shown.

use super::DecidedClaim;
use crate::ablation::signed;
use crate::significant;
use moe_lab::ablate::{Bound, Decision, Rule, RuleReport, Side, Statement};
use moe_lab::stats::Interval;

/// A rule about one arm, or about an order of arms.
pub(super) struct Effect {
    /// The claim and the rule: `C2 mixture < dense`.
    pub(super) label: String,
    /// The effect with its interval, in the unit of the metric.
    pub(super) numbers: String,
    /// The distance of the effect to its bound, positive on the claimed side, in half widths of its interval. So the
    /// interval ends one to the left and one to the right of it; none if it has none.
    pub(super) distance: Option<f64>,
    /// The decision.
    pub(super) decision: Decision,
}

impl Effect {
    /// The rows of a claim, in the order of its rules and their arms.
    pub(super) fn of_claim(claim: &DecidedClaim<'_>) -> Vec<Self> {
        let arms = |rule: &'_ Rule| match &rule.statement {
            Statement::Trend { .. } => 1,
            _ => rule.arms.len(),
        };
        let rules = claim.rules.iter();
        let each = rules.flat_map(|rule| (0..arms(rule)).map(move |arm| (rule, arm)));
        let name = capitalised(claim.name);
        each.zip(&claim.report.rules)
            .map(|((rule, arm), report)| Self {
                label: format!("{name} {}", words(rule, &rule.arms[arm])),
                numbers: numbers(rule, report),
                distance: distance(&rule.statement, report),
                decision: report.decision,
            })
            .collect()
    }
}

/// `c2` as `C2`.
fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// The rule in signs.
fn words(rule: &Rule, arm: &str) -> String {
    let plain = |bound: &Bound| match bound {
        Bound::Number(number) => number.to_string(),
        Bound::Arm(arm) => arm.clone(),
    };
    match &rule.statement {
        Statement::Is(Side::Above, bound) => format!("{arm} > {}", plain(bound)),
        Statement::Is(Side::Below, bound) => format!("{arm} < {}", plain(bound)),
        Statement::IsNot(Side::Above, bound, margin) => {
            format!("{arm} \u{2264} {} + {margin}", plain(bound))
        }
        Statement::IsNot(Side::Below, bound, margin) => {
            format!("{arm} \u{2265} {} \u{2212} {margin}", plain(bound))
        }
        Statement::Equals(bound, margin) => format!("{arm} = {} \u{b1} {margin}", plain(bound)),
        Statement::Trend { rises, along } => {
            let direction = if *rises { "rises" } else { "falls" };
            format!("{} {direction} with {along}", rule.name())
        }
    }
}

/// The metric, the effect and its interval, and what else decided.
fn numbers(rule: &Rule, report: &RuleReport) -> String {
    let Some((difference, interval)) = report.difference.zip(report.interval) else {
        return format!("{}: no interval", rule.name());
    };
    let mut text = format!(
        "{} {} [{}, {}]",
        rule.name(),
        signed(difference),
        signed(interval.low),
        signed(interval.high)
    );
    if let Some(p) = report.p {
        text.push_str(&format!(", p {}", significant(p, 2)));
    }
    if report.reason.is_some() {
        text.push_str(", not comparable");
    }
    text
}

fn distance(statement: &Statement, report: &RuleReport) -> Option<f64> {
    let Interval { low, high } = report.interval?;
    let effect = report.difference?;
    let claimed = match statement {
        Statement::Is(Side::Above, _) | Statement::Trend { rises: true, .. } => effect,
        Statement::Is(Side::Below, _) | Statement::Trend { rises: false, .. } => -effect,
        Statement::IsNot(Side::Above, _, margin) => margin - effect,
        Statement::IsNot(Side::Below, _, margin) => margin + effect,
        Statement::Equals(_, margin) => margin - effect.abs(),
    };
    // seeds without any spread
    if high == low {
        return Some(if claimed == 0.0 {
            0.0
        } else {
            claimed * f64::INFINITY
        });
    }
    Some(claimed / ((high - low) / 2.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moe_lab::ablate::{Budget, Metric};

    fn report(difference: f64, half: f64) -> RuleReport {
        RuleReport {
            rule: String::new(),
            difference: Some(difference),
            interval: Some(Interval {
                low: difference - half,
                high: difference + half,
            }),
            level: 0.95,
            p: None,
            visible: None,
            reason: None,
            decision: Decision::Pass,
        }
    }

    fn other() -> Bound {
        Bound::Arm("b".into())
    }

    #[test]
    fn the_distance_counts_half_widths_on_the_claimed_side() {
        let trend = |rises| Statement::Trend {
            rises,
            along: "k".into(),
        };
        // an effect of 0.3 +- 0.1, and of -0.3 +- 0.1
        for (statement, above, below) in [
            (Statement::Is(Side::Above, other()), 3.0, -3.0),
            (Statement::Is(Side::Below, other()), -3.0, 3.0),
            (Statement::IsNot(Side::Above, other(), 0.1), -2.0, 4.0),
            (Statement::IsNot(Side::Below, other(), 0.1), 4.0, -2.0),
            (Statement::Equals(other(), 0.5), 2.0, 2.0),
            (Statement::Equals(other(), 0.2), -1.0, -1.0),
            (trend(true), 3.0, -3.0),
            (trend(false), -3.0, 3.0),
        ] {
            for (effect, expected) in [(0.3, above), (-0.3, below)] {
                let found = distance(&statement, &report(effect, 0.1)).unwrap();
                assert!((found - expected).abs() < 1e-9, "{statement:?}: {found}");
            }
        }
    }

    #[test]
    fn seeds_without_spread_are_at_the_bound_or_far_from_it() {
        let above = Statement::Is(Side::Above, Bound::Number(0.5));
        assert_eq!(distance(&above, &report(0.0, 0.0)), Some(0.0));
        assert_eq!(
            distance(&above, &report(-0.5, 0.0)),
            Some(f64::NEG_INFINITY)
        );
        let without = RuleReport {
            interval: None,
            ..report(0.5, 0.1)
        };
        assert_eq!(distance(&above, &without), None);
    }

    #[test]
    fn a_rule_of_several_arms_has_a_row_each() {
        let rule = |arms: &[&str], statement| Rule {
            arms: arms.iter().map(|arm| (*arm).to_owned()).collect(),
            metric: Metric::Loss,
            column: None,
            statement,
            budget: Budget::Active,
        };
        let trend = Statement::Trend {
            rises: false,
            along: "experts.n_experts".into(),
        };
        let rules = [
            rule(&["a", "c"], Statement::Equals(other(), 0.03)),
            rule(&["a", "b", "c"], trend),
        ];
        let with_p = RuleReport {
            p: Some(0.0123),
            reason: Some("steps differ".into()),
            ..report(-0.5, 0.25)
        };
        let claim = moe_lab::ablate::ClaimReport {
            hypothesis: "h".into(),
            source: "s".into(),
            explored: None,
            rules: vec![report(0.01, 0.01), report(0.02, 0.01), with_p],
            changed_by: None,
            look: None,
            levels: moe_lab::ablate::Levels::default(),
            runs_of_another_version: 0,
            decision: Decision::Inconclusive,
        };
        let rows = Effect::of_claim(&DecidedClaim {
            name: "c10",
            rules: &rules,
            report: &claim,
        });
        let labels: Vec<&str> = rows.iter().map(|row| row.label.as_str()).collect();
        let expected = [
            "C10 a = b ± 0.03",
            "C10 c = b ± 0.03",
            "C10 loss falls with experts.n_experts",
        ];
        assert_eq!(labels, expected);
        let text = "loss -0.500 [-0.750, -0.250], p 0.012, not comparable";
        assert_eq!(rows[2].numbers, text);
        assert!((rows[0].distance.unwrap() - 2.0).abs() < 1e-9); // (0.03 - 0.01) / 0.01
    }
}
