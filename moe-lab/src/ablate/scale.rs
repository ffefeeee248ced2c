//! The baseline at several budgets, which says what a difference is worth.

use super::{ArmReport, SeedResult};
use crate::stats::{Multiplier, multiplier};
use serde::{Deserialize, Serialize};

/// The baseline's runs with several numbers of steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The budgets as factors of the baseline's steps, rising; 1 is among them.
    pub budgets: Vec<f64>,
    /// The runs at each budget, one a seed; those at 1 are the baseline's own.
    pub runs: Vec<Vec<SeedResult>>,
    /// What each arm is worth, in the order of the arms; `None` where that lies outside of the budgets.
    pub worth: Vec<Option<Multiplier>>,
}

/// Checks budgets and puts them in order, with 1 among them.
///
/// # Errors
///
/// Returns what is wrong: a budget that is no positive number, or fewer than three.
pub fn budgets(given: &[f64]) -> Result<Vec<f64>, String> {
    if let Some(budget) = given.iter().find(|b| !(**b > 0.0 && b.is_finite())) {
        return Err(format!("the budget {budget} is no positive number"));
    }
    let mut budgets = given.to_vec();
    budgets.push(1.0);
    budgets.sort_by(f64::total_cmp);
    budgets.dedup();
    if budgets.len() < 3 {
        return Err("a curve of the loss over compute needs at least three budgets, 1 included, such as 0.5,1,2,4".into());
    }
    Ok(budgets)
}

impl Scaling {
    /// Reads off what each arm is worth.
    pub(super) fn of(budgets: Vec<f64>, runs: Vec<Vec<SeedResult>>, arms: &[ArmReport]) -> Self {
        let losses: Vec<Vec<f64>> = runs.iter().map(|seeds| losses(seeds)).collect();
        let finite = losses.iter().flatten().all(|loss| loss.is_finite());
        let worth = |arm: &ArmReport| {
            let own = losses_of(arm);
            let is_finite = finite && own.iter().all(|loss| loss.is_finite());
            is_finite
                .then(|| multiplier(&budgets, &losses, &own))
                .flatten()
        };
        Self {
            worth: arms.iter().map(worth).collect(),
            budgets,
            runs,
        }
    }
}

fn losses(seeds: &[SeedResult]) -> Vec<f64> {
    seeds.iter().map(|seed| seed.loss).collect()
}

fn losses_of(arm: &ArmReport) -> Vec<f64> {
    losses(&arm.seeds)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ablate::{AblationConfig, AblationReport, ArmResult};

    #[test]
    fn budgets_are_checked_and_sorted() {
        assert_eq!(budgets(&[2.0, 0.5]), Ok(vec![0.5, 1.0, 2.0]));
        assert_eq!(budgets(&[4.0, 2.0, 1.0]), Ok(vec![1.0, 2.0, 4.0]));
        assert!(budgets(&[2.0]).unwrap_err().contains("at least three"));
        assert!(budgets(&[0.0, 2.0]).unwrap_err().contains("the budget 0"));
    }

    #[test]
    fn arms_are_worth_the_compute_of_the_baseline() {
        let loss = |budget: f64| 1.5 + 0.8 * budget.powf(-0.4);
        let seeds = |budget: f64| -> Vec<SeedResult> {
            (0..3)
                .map(|seed| SeedResult::of_loss(seed, loss(budget)))
                .collect()
        };
        let arm = |label: &str, budget: f64| ArmResult {
            label: label.into(),
            evaluation: None,
            seeds: seeds(budget),
        };
        let arms = [arm("a", 1.0), arm("b", 2.0), arm("c", 9.0)];
        let report = AblationReport::new(&arms, &AblationConfig::default()).unwrap();
        let all = vec![0.5, 1.0, 2.0, 4.0];
        let runs = all.iter().map(|budget| seeds(*budget)).collect();
        let scaling = Scaling::of(all, runs, &report.arms);
        let factor = |i: usize| scaling.worth[i].map(|worth| worth.factor);
        assert!((factor(0).unwrap() - 1.0).abs() < 1e-6);
        assert!((factor(1).unwrap() - 2.0).abs() < 1e-6);
        assert_eq!(factor(2), None);
    }
}
