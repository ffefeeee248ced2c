//! The rule of a fair comparison: the same budget for both arms.

use super::outcome::SeedResult;
use crate::stats::mean;
use serde::{Deserialize, Serialize};

/// Largest relative difference of a cost that still counts as equal.
const COST_TOLERANCE: f64 = 0.01;

/// The cost that two arms must share to be compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Steps, tokens, active parameters, and measured FLOP a token.
    #[default]
    Active,
    /// Steps, tokens, and all parameters, which is the memory that a model takes.
    Total,
    /// Steps and tokens: for rules about the cost itself.
    Steps,
}

/// Why an arm may not be compared with the baseline, with both numbers; `None` if it may.
///
/// Both must be causal or both not. Steps and tokens must be equal, both losses must be finite, and by
/// [`Budget::Active`] active parameters may differ by 1 % of the baseline's: those that the configuration gives,
/// and those that tokens did use, since some routers decide how many experts a token meets. The same holds of
/// measured FLOP. What was measured is compared as the scores are, by its mean over the seeds: what buffers drop
/// varies from seed to seed. Costs that another program's table gives may differ by 1 % of the baseline's mean too.
pub(super) fn obstacle(
    baseline: &[SeedResult],
    arm: &[SeedResult],
    budget: Budget,
) -> Option<String> {
    // where all runs of the arm are as the baseline's first one, its other runs are all alike to them or none is
    let of_first = baseline
        .iter()
        .take(1)
        .flat_map(|baseline| arm.iter().map(move |arm| (baseline, arm)));
    let of_others = baseline.iter().skip(1).zip(arm.first().into_iter().cycle());
    of_first
        .chain(of_others)
        .find_map(|(baseline, arm)| obstacle_of_runs(baseline, arm))
        .or_else(|| obstacle_of_cost(baseline, arm, budget))
        .or_else(|| obstacle_of_given_cost(baseline, arm, budget))
}

/// An obstacle between two runs. Steps and tokens are those of the arm, whatever the seed.
fn obstacle_of_runs(baseline: &SeedResult, arm: &SeedResult) -> Option<String> {
    if !baseline.loss.is_finite() {
        let seed = baseline.seed;
        Some(format!(
            "the baseline's score is not finite for seed {seed}"
        ))
    } else if !arm.loss.is_finite() {
        Some(format!("its score is not finite for seed {}", arm.seed))
    } else if arm.causal != baseline.causal {
        Some("one is causal and the other is not".to_owned())
    } else if arm.steps != baseline.steps {
        Some(against("steps differ", [baseline.steps, arm.steps]))
    } else if arm.tokens != baseline.tokens {
        Some(against("tokens differ", [baseline.tokens, arm.tokens]))
    } else {
        None
    }
}

fn obstacle_of_cost(baseline: &[SeedResult], arm: &[SeedResult], budget: Budget) -> Option<String> {
    type Cost = fn(&SeedResult) -> Option<f64>;
    let compared: &[(&str, Cost)] = match budget {
        Budget::Active => &[
            ("active parameters", |run| Some(run.params_active as f64)),
            ("measured active parameters", |run| {
                Some(run.params_used() as f64)
            }),
            ("measured FLOP a token", |run| {
                Some(run.measured?.flops_per_token as f64)
            }),
        ],
        Budget::Total => &[("parameters", |run| Some(run.params_total as f64))],
        Budget::Steps => &[],
    };
    compared
        .iter()
        .filter_map(|(what, cost)| Some((what, costs(baseline, arm, cost)?)))
        .find(|(_, [baseline, arm])| (arm - baseline).abs() > COST_TOLERANCE * baseline)
        .map(|(what, costs)| {
            let costs = costs.map(|cost| cost.round() as u64);
            against(&format!("{what} differ by more than 1 %"), costs)
        })
}

/// The first of the costs of another program's table in which the arms differ.
fn obstacle_of_given_cost(
    baseline: &[SeedResult],
    arm: &[SeedResult],
    budget: Budget,
) -> Option<String> {
    let names = baseline.first()?.costs.keys();
    let names = names.filter(|_| budget != Budget::Steps);
    let both = |name: &String| {
        Some((
            name.clone(),
            costs(baseline, arm, |run| run.costs.get(name).copied())?,
        ))
    };
    let mut differing = names
        .filter_map(both)
        .filter(|(_, [baseline, arm])| (arm - baseline).abs() > COST_TOLERANCE * baseline.abs());
    differing.next().map(|(name, [baseline, arm])| {
        format!("`{name}` differs by more than 1 %: {arm} against {baseline}")
    })
}

/// A cost of both arms, mean over the seeds; none if it was not measured for each.
fn costs(
    baseline: &[SeedResult],
    arm: &[SeedResult],
    of: impl Fn(&SeedResult) -> Option<f64>,
) -> Option<[f64; 2]> {
    let mean_of = |seeds: &[SeedResult]| {
        let all: Option<Vec<f64>> = seeds.iter().map(&of).collect();
        all.filter(|all| !all.is_empty()).map(|all| mean(&all))
    };
    Some([mean_of(baseline)?, mean_of(arm)?])
}

fn against(what: &str, [baseline, arm]: [u64; 2]) -> String {
    format!("{what}: {arm} against {baseline}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablate::outcome::testing::seed_result;
    use moe_train::run::Measured;

    fn result() -> SeedResult {
        seed_result(3, 2.5)
    }

    fn obstacle(baseline: &[SeedResult], arm: &[SeedResult]) -> Option<String> {
        super::obstacle(baseline, arm, Budget::Active)
    }

    fn reason(change: impl Fn(&mut SeedResult)) -> Option<String> {
        let mut arm = result();
        change(&mut arm);
        // The first seed is as it should be: every seed is looked at.
        obstacle(&[result(), result()], &[result(), arm])
    }

    #[test]
    fn equal_budgets_are_comparable() {
        assert_eq!(reason(|_| ()), None);
        assert_eq!(reason(|arm| arm.loss = 9.0), None);
    }

    #[test]
    fn reasons_give_both_numbers() {
        assert_eq!(
            reason(|arm| arm.steps = 100),
            Some("steps differ: 100 against 200".into())
        );
        assert_eq!(
            reason(|arm| arm.tokens = 3200),
            Some("tokens differ: 3200 against 6400".into())
        );
    }

    #[test]
    fn every_run_of_both_arms_is_looked_at_whatever_their_numbers() {
        let steps = |steps: &[u64]| -> Vec<SeedResult> {
            let run = |&steps| SeedResult { steps, ..result() };
            steps.iter().map(run).collect()
        };
        let of = |baseline: &[u64], arm: &[u64]| obstacle(&steps(baseline), &steps(arm));
        assert_eq!(of(&[200; 3], &[200; 2]), None);
        let differ =
            |arm: u64, baseline: u64| Some(format!("steps differ: {arm} against {baseline}"));
        assert_eq!(of(&[200; 3], &[200, 100]), differ(100, 200));
        assert_eq!(of(&[200, 200, 100], &[200; 2]), differ(200, 100));
        // the last run of the baseline, and more of them than the arm has
        let mut diverged = steps(&[200; 3]);
        diverged[2].loss = f64::NAN;
        assert_eq!(
            obstacle(&diverged, &steps(&[200])),
            Some("the baseline's score is not finite for seed 3".into())
        );
    }

    #[test]
    fn one_percent_of_parameters_is_tolerated() {
        let reason = |params_active| {
            let arm = SeedResult {
                params_active,
                ..result()
            };
            obstacle(&[result(), result()], &[arm.clone(), arm])
        };
        assert_eq!(reason(1010), None);
        assert_eq!(reason(990), None);
        assert_eq!(
            reason(1011),
            Some("active parameters differ by more than 1 %: 1011 against 1000".into())
        );
    }

    #[test]
    fn a_router_that_decides_how_many_experts_is_held_to_what_it_used() {
        let used = |params_active, flops_per_token| {
            Some(Measured {
                experts_per_token: 2.5,
                params_active,
                flops_per_token,
            })
        };
        // of two seeds one: the mean of 1000 and 1020 is 1 % above 1000
        assert_eq!(reason(|arm| arm.measured = used(1020, 1)), None);
        assert_eq!(
            reason(|arm| arm.measured = used(1300, 1)),
            Some("measured active parameters differ by more than 1 %: 1150 against 1000".into())
        );
        let [mut baseline, mut arm] = [result(), result()];
        (baseline.measured, arm.measured) = (used(1000, 100), used(1000, 102));
        assert_eq!(
            obstacle(&[baseline], &[arm]),
            Some("measured FLOP a token differ by more than 1 %: 102 against 100".into())
        );
    }

    #[test]
    fn a_budget_says_which_cost_counts() {
        let arm = SeedResult {
            params_active: 3000,
            params_total: 3020,
            ..result()
        };
        let reason = |budget, arm: &SeedResult| {
            let (baseline, arm) = ([result()], std::slice::from_ref(arm));
            super::obstacle(&baseline, arm, budget)
        };
        assert!(reason(Budget::Active, &arm).is_some());
        assert_eq!(reason(Budget::Total, &arm), None);
        let larger = SeedResult {
            params_total: 3100,
            ..arm
        };
        assert_eq!(
            reason(Budget::Total, &larger),
            Some("parameters differ by more than 1 %: 3100 against 3000".into())
        );
        assert_eq!(reason(Budget::Steps, &larger), None);
    }

    #[test]
    fn a_diverged_run_is_not_compared() {
        assert_eq!(
            reason(|arm| arm.loss = f64::NAN),
            Some("its score is not finite for seed 3".into())
        );

        let mut diverged = result();
        diverged.loss = f64::INFINITY;
        assert_eq!(
            obstacle(&[diverged], &[result()]),
            Some("the baseline's score is not finite for seed 3".into())
        );
    }
}
