//! Tuning: each arm at its own best value of a key, found on seeds that decide nothing.

use super::SeedResult;
use crate::stats::{Goal, mean};
use serde::{Deserialize, Serialize};

/// The values that each arm is tried at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tune {
    /// The dotted key.
    pub key: String,
    /// The values as they were written, at least two.
    pub values: Vec<String>,
    /// The seeds of the trials, none of them a seed of the decision.
    pub seeds: Vec<u64>,
}

/// The tuning of all arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneReport {
    /// The dotted key.
    pub key: String,
    /// The values that each arm was tried at.
    pub values: Vec<String>,
    /// The seeds of the trials.
    pub seeds: Vec<u64>,
    /// The arms, in their order.
    pub arms: Vec<TunedArm>,
}

/// The tuning of one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TunedArm {
    /// The arm.
    pub label: String,
    /// The trials at each value, one a seed.
    pub trials: Vec<Vec<SeedResult>>,
    /// The mean validation score at each value; `None` where a trial diverged.
    pub scores: Vec<Option<f64>>,
    /// The place of the best value, which the arm is decided with.
    pub chosen: usize,
    /// True if the best value is the smallest or the largest of the list, so that a better one may lie outside.
    pub at_edge: bool,
}

impl Tune {
    /// Values of a key, tried on some seeds.
    ///
    /// # Errors
    ///
    /// Returns what is wrong: fewer than two values, one twice, or no seed.
    pub fn new(key: String, values: Vec<String>, seeds: Vec<u64>) -> Result<Self, String> {
        if values.len() < 2 {
            return Err(format!(
                "a tuning needs at least two values of `{key}`; with one, set it in the configuration"
            ));
        }
        if let Some(i) = (1..values.len()).find(|&i| values[..i].contains(&values[i])) {
            return Err(format!("the tuning has the value `{}` twice", values[i]));
        }
        if seeds.is_empty() {
            return Err("a tuning needs at least one seed".into());
        }
        Ok(Self { key, values, seeds })
    }

    /// The override that sets one of the values.
    pub(super) fn set(&self, place: usize) -> String {
        format!("{}={}", self.key, self.values[place])
    }

    pub(super) fn report(&self, arms: Vec<TunedArm>) -> TuneReport {
        TuneReport {
            key: self.key.clone(),
            values: self.values.clone(),
            seeds: self.seeds.clone(),
            arms,
        }
    }

    /// Chooses the best value of an arm by its trials, `trials[value][seed]`.
    ///
    /// # Panics
    ///
    /// Panics if a value has no trial.
    pub(super) fn choose(&self, label: &str, trials: Vec<Vec<SeedResult>>) -> TunedArm {
        let goal = trials[0][0].merit().goal();
        let score = |seeds: &Vec<SeedResult>| {
            let scores: Vec<f64> = seeds.iter().map(SeedResult::score).collect();
            Some(mean(&scores)).filter(|mean| mean.is_finite())
        };
        let scores: Vec<Option<f64>> = trials.iter().map(score).collect();
        let cost = |i: usize| match (scores[i], goal) {
            (Some(score), Goal::Lower) => score,
            (Some(score), Goal::Higher) => -score,
            (None, _) => f64::INFINITY,
        };
        let better = |best, i| if cost(i) < cost(best) { i } else { best };
        let chosen = (1..scores.len()).fold(0, better);
        TunedArm {
            label: label.to_owned(),
            trials,
            chosen,
            at_edge: self.is_edge(chosen),
            scores,
        }
    }

    /// Tells whether a value is the smallest or the largest; words have no edge.
    fn is_edge(&self, place: usize) -> bool {
        let numbers: Option<Vec<f64>> = self.values.iter().map(|v| v.parse().ok()).collect();
        numbers.is_some_and(|numbers| {
            let x = numbers[place];
            numbers.iter().all(|y| *y <= x) || numbers.iter().all(|y| *y >= x)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tune(values: &[&str]) -> Tune {
        let values = values.iter().map(ToString::to_string).collect();
        Tune::new("train.lr".into(), values, vec![0, 1]).unwrap()
    }

    fn trials(losses: &[&[f64]]) -> Vec<Vec<SeedResult>> {
        let result = |loss: &f64| SeedResult::of_loss(0, *loss);
        let of_value = |seeds: &&[f64]| seeds.iter().map(result).collect();
        losses.iter().map(of_value).collect()
    }

    #[test]
    fn the_best_mean_is_chosen() {
        let tune = tune(&["1e-3", "2e-3", "4e-3"]);
        let trials = trials(&[&[2.0, 2.2], &[1.9, 2.1], &[1.5, f64::NAN]]);
        let chosen = tune.choose("a", trials.clone());
        assert_eq!((chosen.chosen, chosen.at_edge), (1, false));
        assert_eq!(chosen.scores, [Some(2.1), Some(2.0), None]);

        // of an accuracy the largest
        let mut trials = trials;
        for result in trials.iter_mut().flatten() {
            result.accuracy = Some(result.loss);
        }
        let chosen = tune.choose("a", trials);
        assert_eq!((chosen.chosen, chosen.at_edge), (0, true));
    }

    #[test]
    fn the_edge_is_that_of_the_numbers_and_not_of_the_list() {
        let trials = trials(&[&[2.0], &[1.0], &[3.0]]);
        let at_edge = |values: &[&str]| tune(values).choose("a", trials.clone()).at_edge;
        assert!(at_edge(&["1e-3", "4e-3", "2e-3"]));
        assert!(!at_edge(&["a", "b", "c"]));
    }

    #[test]
    fn an_arm_that_always_diverges_keeps_the_first() {
        let trials = trials(&[&[f64::NAN], &[f64::NAN]]);
        let chosen = tune(&["1", "2"]).choose("a", trials);
        assert_eq!((chosen.chosen, &chosen.scores[..]), (0, &[None, None][..]));
    }

    #[test]
    fn errors_say_what_to_do() {
        let new = |values: &[&str], seeds: &[u64]| {
            let values = values.iter().map(ToString::to_string).collect();
            Tune::new("k".into(), values, seeds.to_vec()).unwrap_err()
        };
        assert!(new(&["1"], &[0]).contains("at least two values of `k`"));
        assert!(new(&["1", "1"], &[0]).contains("`1` twice"));
        assert!(new(&["1", "2"], &[]).contains("at least one seed"));
    }
}
