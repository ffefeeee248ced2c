//! The runs of a plan, each with the words that make it alone.

use super::{AblateError, Plan, PlannedArm};
use crate::ablate::make::{Results, made_before};
use crate::ablate::run::tuned;
use moe_train::config::RunConfig;
use std::path::Path;

/// A run of a plan.
#[derive(Debug, Clone)]
pub struct PlannedRun {
    /// The name of its arm, with the value of a trial or the budget behind it.
    pub label: String,
    /// Its configuration, with its seed.
    pub config: RunConfig,
    /// The values that make this configuration of the plan's file, all but the seed.
    pub overrides: Vec<String>,
}

impl PlannedRun {
    fn new(label: &str, config: &RunConfig, seed: u64, overrides: Vec<String>) -> Self {
        let config = RunConfig {
            seed,
            ..config.clone()
        };
        Self {
            label: label.to_owned(),
            config,
            overrides,
        }
    }
}

impl Plan {
    /// The runs that can be named by what lies in the folder of runs, and the number of those that cannot: which runs
    /// follow a tuning is known once all of its trials are made.
    ///
    /// # Errors
    ///
    /// Returns an error if an evaluation does not go with the value that a tuning chose.
    pub fn named(&self, runs_dir: &Path) -> Result<(Vec<PlannedRun>, usize), AblateError> {
        let mut planned = self.planned_trials();
        let mut results = Results::new();
        for config in self.trials() {
            // one that cannot be read is not made either, and whoever goes on with it says why
            let Ok(Some(result)) = made_before(&config, runs_dir) else {
                return Ok((planned, self.planned_runs().len()));
            };
            results.insert((config.run_name(), config.seed), result);
        }
        let tuning = self.tune.as_ref().map(|tune| tuned(self, tune, &results));
        planned.extend(self.chosen(tuning.as_ref())?.planned_runs());
        Ok((planned, 0))
    }

    /// The trials of the tuning, in the order of [`trials`](Self::trials).
    fn planned_trials(&self) -> Vec<PlannedRun> {
        let Some(tune) = &self.tune else {
            return Vec::new();
        };
        let mut runs = Vec::new();
        for &seed in &tune.seeds {
            for arm in &self.arms {
                for (place, config) in arm.candidates.iter().enumerate() {
                    let set = tune.set(place);
                    let label = format!("{} {set}", arm.label);
                    let overrides = [&arm.overrides[..], &[set]].concat();
                    runs.push(PlannedRun::new(&label, config, seed, overrides));
                }
            }
        }
        runs
    }

    /// The runs that the table is made of, in the order of [`runs`](Self::runs), and the baseline's with other
    /// budgets.
    fn planned_runs(&self) -> Vec<PlannedRun> {
        let arms = self.seeds.iter().flat_map(|&seed| {
            let run = move |arm: &PlannedArm| {
                PlannedRun::new(&arm.label, &arm.config, seed, arm.overrides.clone())
            };
            self.arms.iter().map(run)
        });
        let baseline = &self.arms[0];
        let others = self.budgets.iter().filter(|budget| **budget != 1.0);
        let scaled = others.flat_map(|&budget| {
            let config = self.with_budget(budget);
            let set = format!("train.steps={}", config.train.steps);
            let overrides = [&baseline.overrides[..], &[set]].concat();
            let label = format!("{} x {budget}", baseline.label);
            let run = move |&seed: &u64| PlannedRun::new(&label, &config, seed, overrides.clone());
            self.seeds.iter().map(run)
        });
        arms.chain(scaled).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ablate::{Arm, Tune};
    use moe_train::resolve::ConfigFile;

    #[test]
    fn every_run_is_made_by_its_words() {
        let base = ConfigFile::parse("a.toml", "seed = 3\n[router]\nname = 'switch'").unwrap();
        let arm = |label: &str, set: &str| Arm {
            label: label.into(),
            overrides: vec![set.to_owned()],
        };
        let arms = [arm("a", "router.name=switch"), arm("b", "router.name=hash")];
        let values = ["1e-3", "2e-3"].map(String::from).to_vec();
        let tune = Tune::new("train.lr".into(), values, vec![9]).unwrap();
        let overrides = ["train.steps=40".to_owned()];
        let plan = Plan::of_arms(&base, &overrides, [&arms, &[]], 2, Some(tune)).unwrap();
        let plan = plan.scaled_to(&[0.5, 1.0, 2.0]).unwrap();

        let trials = plan.planned_trials();
        let runs = plan.planned_runs();
        assert_eq!((trials.len(), runs.len()), (4, 4 + 4));
        assert_eq!(trials[1].label, "a train.lr=2e-3");
        assert_eq!(runs[4].label, "a x 0.5");
        let configs = |runs: &[PlannedRun]| -> Vec<RunConfig> {
            runs.iter().map(|run| run.config.clone()).collect()
        };
        assert_eq!(configs(&trials), plan.trials().collect::<Vec<_>>());
        let expected: Vec<RunConfig> = plan.runs().chain(plan.scaled()).collect();
        assert_eq!(configs(&runs), expected);
        for run in trials.iter().chain(&runs[4..]) {
            let mut words = run.overrides.clone();
            // before a tuning the runs stand at its first value
            if run.config.seed != 9 {
                words.push("train.lr=1e-3".into());
            }
            words.push(format!("seed={}", run.config.seed));
            let made = RunConfig::resolve(base.clone(), &words).unwrap().config;
            assert_eq!(made, run.config, "{words:?}");
        }
    }
}
