//! The runs of an ablation, shared with other processes that are given the same ones.

use super::analysed::analysed;
use super::{AblateError, AblationConfig, AblationReport, Arm, ArmResult, Claim};
use super::{MadeRuns, Plan, PlannedArm, Scaling, SeedResult, TestedArm, Tune, TuneReport};
use crate::MetricLines;
use burn::tensor::Device;
use moe_train::config::RunConfig;
use moe_train::data::Split;
use moe_train::run::{
    Event, LoadedRun, Observer, Outcome, RunError, RunFolder, RunOptions, Watch, evaluate_run,
    read_manifest, run_folder, train,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The time between two looks at runs that other processes hold.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The results of runs by name and seed.
type Results = BTreeMap<(String, u64), SeedResult>;

/// Makes the runs that are missing, first those of a tuning, evaluates them in other ways if the plan says so, and
/// compares all of them. A run that another process trains is left to it and read at the end, so several processes
/// may be given one plan. Returns nothing if it was told to stop: the run in progress is saved, and another
/// call goes on from there.
///
/// # Errors
///
/// Returns an error if a run fails.
pub fn execute(
    plan: &Plan,
    config: &AblationConfig,
    device: &Device,
    options: &RunOptions,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Option<AblationReport>, AblateError> {
    let options = RunOptions {
        claim: plan.claim.as_ref().map(Claim::mark),
        ..options.clone()
    };
    let mut runs = Runs {
        device,
        options: &options,
        observer,
        stop,
    };
    let tuning = match &plan.tune {
        None => None,
        Some(tune) => match runs.make_all(plan.trials())? {
            Some(results) => Some(tuned(plan, tune, &results)),
            None => return Ok(None),
        },
    };
    let plan = plan.chosen(tuning.as_ref())?;
    let Some(results) = runs.make_all(plan.runs().chain(plan.scaled()))? else {
        return Ok(None);
    };
    let Some(rows) = runs.evaluate_all(&plan, &results)? else {
        return Ok(None);
    };
    let others = match &plan.claim {
        Some(claim) => runs.of_another_version(&plan, claim)?,
        None => 0,
    };
    let made = MadeRuns {
        scaled: scaled(&plan, &results),
        rows,
        tuning,
    };
    Ok(Some(reported(&plan, config, made, others)?))
}

/// The table of results that were made before, and the decision of the plan's claim.
///
/// # Errors
///
/// Returns an error if the results are not those of the plan's rows.
pub fn reported(
    plan: &Plan,
    config: &AblationConfig,
    made: MadeRuns,
    runs_of_another_version: usize,
) -> Result<AblationReport, AblateError> {
    let plan = plan.chosen(made.tuning.as_ref())?;
    let mut report = AblationReport::new(&made.rows, config)?;
    report.sweep = plan.sweep.clone();
    report.tuning = made.tuning;
    if !made.scaled.is_empty() {
        let (budgets, runs) = made.scaled.into_iter().unzip();
        report.scaling = Some(Scaling::of(budgets, runs, &report.arms));
    }
    report.differences = plan.differences();
    if let Some(claim) = &plan.claim {
        report.decide(claim, plan.changed_by.as_deref(), runs_of_another_version);
    }
    Ok(report)
}

/// The baseline's runs at each budget, by rising budget; none without budgets.
fn scaled(plan: &Plan, results: &Results) -> Vec<(f64, Vec<SeedResult>)> {
    let runs = |budget: &f64| {
        let name = plan.with_budget(*budget).run_name();
        let seeds = plan.seeds.iter();
        let runs = seeds.map(|&seed| results[&(name.clone(), seed)].clone());
        (*budget, runs.collect())
    };
    plan.budgets.iter().map(runs).collect()
}

/// The best value of each arm.
fn tuned(plan: &Plan, tune: &Tune, results: &Results) -> TuneReport {
    let trials = |config: &RunConfig| -> Vec<SeedResult> {
        let result = |seed: &u64| results[&(config.run_name(), *seed)].clone();
        tune.seeds.iter().map(result).collect()
    };
    let arm = |arm: &PlannedArm| {
        let trials = arm.candidates.iter().map(trials).collect();
        tune.choose(&arm.label, trials)
    };
    tune.report(plan.arms.iter().map(arm).collect())
}

/// The means by which runs are made.
struct Runs<'a> {
    device: &'a Device,
    options: &'a RunOptions,
    observer: &'a mut dyn Observer,
    stop: &'a AtomicBool,
}

impl Runs<'_> {
    /// Makes or reads all runs; those that another process holds come last.
    fn make_all(
        &mut self,
        configs: impl Iterator<Item = RunConfig>,
    ) -> Result<Option<Results>, AblateError> {
        let mut results = Results::new();
        let mut left: Vec<RunConfig> = configs.collect();
        while !left.is_empty() {
            let mut held = Vec::new();
            for config in left {
                match self.make(&config) {
                    Ok(Some(result)) => {
                        results.insert((config.run_name(), config.seed), result);
                    }
                    Ok(None) => return Ok(None),
                    Err(RunError::Busy(_)) => held.push(config),
                    Err(source) => return Err(failed(&config.run_name(), config.seed, source)),
                }
            }
            left = held;
            if !left.is_empty() && !self.wait_for(left.len()) {
                return Ok(None);
            }
        }
        Ok(Some(results))
    }

    /// Waits a moment for other processes; false if it was told to stop.
    fn wait_for(&mut self, runs: usize) -> bool {
        self.observer.on(Event::Waiting { runs });
        thread::sleep(LOOK_EVERY);
        !self.stop.load(Ordering::Relaxed)
    }

    /// Makes a run, or reads it; nothing if it was told to stop.
    fn make(&mut self, config: &RunConfig) -> Result<Option<SeedResult>, RunError> {
        let (summary, is_new) =
            match train(config, self.device, self.options, self.observer, self.stop) {
                Ok(Outcome::Finished(summary)) => (summary, true),
                Ok(Outcome::AlreadyFinished(summary)) => (summary, false),
                Ok(Outcome::Interrupted { .. }) => return Ok(None),
                Err(RunError::Diverged { .. }) => return Ok(Some(SeedResult::diverged(config))),
                Err(error) => return Err(error),
            };
        let folder = RunFolder::new(run_folder(config, &self.options.runs_dir));
        let manifest = read_manifest(&folder)?;
        let result = SeedResult::new(config, &summary, &manifest, &MetricLines::read(&folder));
        if is_new {
            self.observer.on(Event::Finished {
                folder: folder.path(),
                score: result.score(),
                merit: result.merit(),
                wall_s: manifest.wall_s,
            });
        }
        Ok(Some(result))
    }

    /// The rows of the table, seed by seed.
    fn evaluate_all(
        &mut self,
        plan: &Plan,
        results: &Results,
    ) -> Result<Option<Vec<ArmResult>>, AblateError> {
        let mut rows: Vec<ArmResult> = plan.tested.iter().map(unmade).collect();
        for &seed in &plan.seeds {
            for (tested, row) in plan.tested.iter().zip(&mut rows) {
                let config = RunConfig {
                    seed,
                    ..plan.arms[tested.arm].config.clone()
                };
                let made = &results[&(config.run_name(), seed)];
                let scored = match &tested.evaluation {
                    Some(way) => self
                        .evaluate(made, way, &config)
                        .map_err(|source| failed(&tested.label, seed, source))?,
                    None => Some(
                        analysed(plan, made, &config, self.options, self.device)
                            .map_err(|source| failed(&tested.label, seed, source))?,
                    ),
                };
                let Some(scored) = scored else {
                    return Ok(None);
                };
                row.seeds.push(scored);
            }
        }
        Ok(Some(rows))
    }

    /// Scores a trained run with other values of its router, on what its last evaluation scored; one that diverged
    /// has no score. Nothing if it was told to stop.
    fn evaluate(
        &mut self,
        made: &SeedResult,
        way: &Arm,
        config: &RunConfig,
    ) -> Result<Option<SeedResult>, RunError> {
        if !made.loss.is_finite() {
            return Ok(Some(made.clone()));
        }
        let folder = run_folder(config, &self.options.runs_dir);
        let run = LoadedRun::open_with(&folder, &way.overrides, self.device)?;
        let most = Some(config.train.final_windows());
        let mut watch = Watch {
            observer: self.observer,
            stop: self.stop,
        };
        let metrics = evaluate_run(&run, Split::Validation, most, self.device, &mut watch)?;
        let evaluated = SeedResult {
            causal: run.config.is_causal(),
            ..made.clone()
        };
        Ok(metrics.map(|metrics| evaluated.scored(&metrics)))
    }

    /// The number of runs that were made for this claim when its file said something else.
    fn of_another_version(&self, plan: &Plan, claim: &Claim) -> Result<usize, AblateError> {
        let mut others = 0;
        for config in plan.runs() {
            let folder = RunFolder::new(run_folder(&config, &self.options.runs_dir));
            let manifest = read_manifest(&folder)
                .map_err(|source| failed(&config.run_name(), config.seed, source))?;
            let is_other = |mark: String| claim.is_other_version(&mark);
            others += usize::from(manifest.claim.is_some_and(is_other));
        }
        Ok(others)
    }
}

fn failed(label: &str, seed: u64, source: RunError) -> AblateError {
    AblateError::Run {
        label: label.to_owned(),
        seed,
        source: Box::new(source),
    }
}

fn unmade(arm: &TestedArm) -> ArmResult {
    ArmResult {
        label: arm.label.clone(),
        evaluation: arm.evaluation.as_ref().map(|way| way.label.clone()),
        seeds: Vec::new(),
    }
}
