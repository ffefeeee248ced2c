//! The runs of a plan, and those of them that are missing.

use super::Plan;
use crate::ablate::AblateError;
use moe_train::config::RunConfig;
use moe_train::run::finished;
use std::path::Path;

impl Plan {
    /// The trials of the tuning: of each arm each value with each seed; none without a tuning.
    pub fn trials(&self) -> impl Iterator<Item = RunConfig> + '_ {
        let seeds = self.tune.as_ref().map_or(&[][..], |tune| &tune.seeds);
        seeds.iter().flat_map(|&seed| {
            let candidates = self.arms.iter().flat_map(|arm| &arm.candidates);
            candidates.map(move |config| RunConfig {
                seed,
                ..config.clone()
            })
        })
    }

    /// The baseline's configuration with a budget.
    pub(in crate::ablate) fn with_budget(&self, budget: f64) -> RunConfig {
        let mut config = self.arms[0].config.clone();
        let steps = config.train.steps as f64 * budget;
        config.train.steps = (steps.round() as u64).max(1);
        config
    }

    /// The baseline's runs with other budgets than its own.
    pub fn scaled(&self) -> impl Iterator<Item = RunConfig> + '_ {
        let others = self.budgets.iter().filter(|budget| **budget != 1.0);
        others.flat_map(move |&budget| {
            self.seeds.iter().map(move |&seed| RunConfig {
                seed,
                ..self.with_budget(budget)
            })
        })
    }

    /// The configuration of each run, seed by seed, so that whole pairs are done early.
    pub fn runs(&self) -> impl Iterator<Item = RunConfig> + '_ {
        self.seeds.iter().flat_map(|&seed| {
            self.arms.iter().map(move |arm| RunConfig {
                seed,
                ..arm.config.clone()
            })
        })
    }

    /// The plan as far as the look of its claim, if it has one.
    pub(in crate::ablate) fn until_look(&self) -> Option<Self> {
        let look = self.claim.as_ref()?.look?;
        // runs that were changed decide nothing, early or late
        self.changed_by.is_none().then(|| {
            let mut plan = self.clone();
            plan.seeds.truncate(look as usize);
            plan
        })
    }

    /// The number of runs that are not finished yet.
    ///
    /// # Errors
    ///
    /// Returns an error if a file of a run is damaged or of another run.
    pub fn missing(&self, runs_dir: &Path) -> Result<usize, AblateError> {
        Ok(self.missing_runs(runs_dir)?.len())
    }

    /// Seconds that the missing runs take at a training speed measured for the baseline; an arm that
    /// does more work a token is taken to be slower by as much.
    ///
    /// # Errors
    ///
    /// As [`missing`](Self::missing).
    pub fn estimate_s(&self, runs_dir: &Path, tokens_per_s: f64) -> Result<f64, AblateError> {
        let flops = |config: &RunConfig| config.account().flops_per_token as f64;
        let baseline = flops(&self.arms[0].config);
        let seconds = |config: &RunConfig| {
            let tokens = (config.train.steps * config.tokens_per_step()) as f64;
            tokens / tokens_per_s * flops(config) / baseline
        };
        Ok(self.missing_runs(runs_dir)?.iter().map(seconds).sum())
    }

    /// The trials, and the runs as far as they can be named before the trials are made.
    fn missing_runs(&self, runs_dir: &Path) -> Result<Vec<RunConfig>, AblateError> {
        let mut missing = Vec::new();
        for config in self.trials().chain(self.runs()).chain(self.scaled()) {
            let found = finished(&config, runs_dir).map_err(|source| AblateError::Run {
                label: config.run_name(),
                seed: config.seed,
                source: Box::new(source),
            })?;
            if found.is_none() {
                missing.push(config);
            }
        }
        Ok(missing)
    }
}
