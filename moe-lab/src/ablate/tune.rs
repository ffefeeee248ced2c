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
    /// Groups of arms that take one value, the best of the group: arms that are one model by different means.
    pub alike: Vec<Vec<String>>,
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
    /// Groups of arms that take one value, the best of the group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<Vec<String>>,
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
    /// The place of the best value of the arm or its group, which the arm is decided with.
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
        Ok(Self {
            key,
            values,
            seeds,
            alike: Vec::new(),
        })
    }

    /// Has the arms of each group take one value.
    ///
    /// # Errors
    ///
    /// Returns what is wrong: a group of fewer than two arms, or an arm in two places.
    pub fn with_alike(mut self, alike: Vec<Vec<String>>) -> Result<Self, String> {
        if alike.iter().any(|group| group.len() < 2) {
            return Err("a group of `alike` needs at least two arms".into());
        }
        let arms = alike.concat();
        if let Some(i) = (1..arms.len()).find(|&i| arms[..i].contains(&arms[i])) {
            return Err(format!("`alike` has the arm `{}` twice", arms[i]));
        }
        self.alike = alike;
        Ok(self)
    }

    /// The override that sets one of the values.
    pub(super) fn set(&self, place: usize) -> String {
        format!("{}={}", self.key, self.values[place])
    }

    /// Chooses the best value of each arm by its trials, `trials[value][seed]`, and by those of its group.
    ///
    /// # Panics
    ///
    /// Panics if a value has no trial.
    pub(super) fn report(&self, arms: Vec<(String, Vec<Vec<SeedResult>>)>) -> TuneReport {
        let scores: Vec<(String, Vec<Option<f64>>)> = arms
            .iter()
            .map(|(label, trials)| (label.clone(), mean_scores(trials)))
            .collect();
        let choose = |(label, trials): (String, Vec<Vec<SeedResult>>)| {
            let group = self.alike.iter().find(|group| group.contains(&label));
            let is_of_group =
                |other: &String| group.map_or(*other == label, |group| group.contains(other));
            let of_group = scores.iter().filter(|(other, _)| is_of_group(other));
            let of_group: Vec<_> = of_group.map(|(_, scores)| scores).collect();
            let chosen = self.best(&of_group, trials[0][0].merit().goal());
            TunedArm {
                chosen,
                at_edge: self.is_edge(chosen),
                scores: mean_scores(&trials),
                label,
                trials,
            }
        };
        TuneReport {
            key: self.key.clone(),
            values: self.values.clone(),
            seeds: self.seeds.clone(),
            alike: self.alike.clone(),
            arms: arms.into_iter().map(choose).collect(),
        }
    }

    /// The place of the value with the best mean of `scores[arm][value]`; one at which a trial diverged is the worst.
    fn best(&self, scores: &[&Vec<Option<f64>>], goal: Goal) -> usize {
        let cost = |i: usize| {
            let of_arms: Option<Vec<f64>> = scores.iter().map(|scores| scores[i]).collect();
            match (of_arms, goal) {
                (Some(scores), Goal::Lower) => mean(&scores),
                (Some(scores), Goal::Higher) => -mean(&scores),
                (None, _) => f64::INFINITY,
            }
        };
        let better = |best, i| if cost(i) < cost(best) { i } else { best };
        (1..self.values.len()).fold(0, better)
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

/// The mean validation score at each value; `None` where a trial diverged.
fn mean_scores(trials: &[Vec<SeedResult>]) -> Vec<Option<f64>> {
    let score = |seeds: &Vec<SeedResult>| {
        let scores: Vec<f64> = seeds.iter().map(SeedResult::score).collect();
        Some(mean(&scores)).filter(|mean| mean.is_finite())
    };
    trials.iter().map(score).collect()
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

    fn choose(tune: &Tune, trials: Vec<Vec<SeedResult>>) -> TunedArm {
        tune.report(vec![("a".into(), trials)]).arms.remove(0)
    }

    #[test]
    fn the_best_mean_is_chosen() {
        let tune = tune(&["1e-3", "2e-3", "4e-3"]);
        let trials = trials(&[&[2.0, 2.2], &[1.9, 2.1], &[1.5, f64::NAN]]);
        let chosen = choose(&tune, trials.clone());
        assert_eq!((chosen.chosen, chosen.at_edge), (1, false));
        assert_eq!(chosen.scores, [Some(2.1), Some(2.0), None]);

        // of an accuracy the largest
        let mut trials = trials;
        for result in trials.iter_mut().flatten() {
            result.accuracy = Some(result.loss);
        }
        let chosen = choose(&tune, trials);
        assert_eq!((chosen.chosen, chosen.at_edge), (0, true));
    }

    #[test]
    fn the_edge_is_that_of_the_numbers_and_not_of_the_list() {
        let trials = trials(&[&[2.0], &[1.0], &[3.0]]);
        let at_edge = |values: &[&str]| choose(&tune(values), trials.clone()).at_edge;
        assert!(at_edge(&["1e-3", "4e-3", "2e-3"]));
        assert!(!at_edge(&["a", "b", "c"]));
    }

    #[test]
    fn arms_that_are_alike_take_the_best_of_their_group() {
        // means of b and c: 2.2, 2.1, and none where one diverged; of themselves they would take 4e-3 and 1e-3
        let arms = [
            ("a", trials(&[&[1.0], &[2.0], &[3.0]])),
            ("b", trials(&[&[2.5], &[2.2], &[2.1]])),
            ("c", trials(&[&[1.9], &[2.0], &[f64::NAN]])),
        ];
        let arms = arms.map(|(label, trials)| (label.to_owned(), trials));
        let tune = tune(&["1e-3", "2e-3", "4e-3"]);
        let chosen = |tune: &Tune| -> Vec<usize> {
            let report = tune.report(arms.to_vec());
            report.arms.iter().map(|arm| arm.chosen).collect()
        };
        assert_eq!(chosen(&tune), [0, 2, 0]);
        let group = vec!["b".to_owned(), "c".to_owned()];
        assert_eq!(chosen(&tune.with_alike(vec![group]).unwrap()), [0, 1, 1]);
    }

    #[test]
    fn an_arm_that_always_diverges_keeps_the_first() {
        let trials = trials(&[&[f64::NAN], &[f64::NAN]]);
        let chosen = choose(&tune(&["1", "2"]), trials);
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
        let alike = |groups: &[&[&str]]| {
            let group = |group: &&[&str]| group.iter().map(ToString::to_string).collect();
            let groups = groups.iter().map(group).collect();
            tune(&["1", "2"]).with_alike(groups).unwrap_err()
        };
        assert!(alike(&[&["a"]]).contains("at least two arms"));
        assert!(alike(&[&["a", "b"], &["c", "a"]]).contains("the arm `a` twice"));
    }
}
