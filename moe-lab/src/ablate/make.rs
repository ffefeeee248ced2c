//! The making of runs: one after the other, those that other processes hold last or not at all.

use super::analysed::analysed;
use super::{AblateError, Arm, ArmResult, Claim, Others, Plan, SeedResult, TestedArm};
use crate::MetricLines;
use crate::logged::has_diverged;
use burn::tensor::Device;
use moe_train::config::RunConfig;
use moe_train::data::Split;
use moe_train::run::{
    Event, LoadedRun, Manifest, Observer, Outcome, RunError, RunFolder, RunOptions, Summary, Watch,
    evaluate_run, finished, read_manifest, run_folder, train,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The time between two looks at runs that other processes hold.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The results of runs by name and seed.
pub(super) type Results = BTreeMap<(String, u64), SeedResult>;

/// Reasons why not all runs were made.
#[derive(Debug)]
pub(super) enum Early {
    /// It was told to stop.
    Stopped,
    /// Other processes hold so many.
    Left(usize),
    /// One failed.
    Failed(AblateError),
}

impl From<AblateError> for Early {
    fn from(error: AblateError) -> Self {
        Self::Failed(error)
    }
}

/// The result of a run that was made before, of a diverged one too; `None` of any other.
pub(super) fn made_before(
    config: &RunConfig,
    runs_dir: &Path,
) -> Result<Option<SeedResult>, RunError> {
    let folder = RunFolder::new(run_folder(config, runs_dir));
    match finished(config, runs_dir)? {
        Some(summary) => Ok(Some(result(config, &folder, &summary)?.0)),
        None if folder.is_locked() => Ok(None),
        None => Ok(has_diverged(&folder).then(|| SeedResult::diverged(config))),
    }
}

/// The result of a finished run, with its manifest.
fn result(
    config: &RunConfig,
    folder: &RunFolder,
    summary: &Summary,
) -> Result<(SeedResult, Manifest), RunError> {
    let manifest = read_manifest(folder)?;
    let lines = MetricLines::read(folder);
    let result = SeedResult::new(config, summary, &manifest, &lines);
    Ok((result, manifest))
}

/// The means by which runs are made.
pub(super) struct Runs<'a> {
    pub device: &'a Device,
    pub options: &'a RunOptions,
    pub observer: &'a mut dyn Observer,
    pub stop: &'a AtomicBool,
    pub others: Others,
    /// The kinds of devices that the runs were made on.
    pub devices: BTreeSet<String>,
}

impl Runs<'_> {
    /// Makes or reads all runs; those that another process holds come last.
    pub(super) fn make_all(
        &mut self,
        configs: impl Iterator<Item = RunConfig>,
    ) -> Result<Results, Early> {
        let mut results = Results::new();
        let mut left: Vec<RunConfig> = configs.collect();
        if let Others::Leave { place } = self.others {
            let turns = place % left.len().max(1) as u64;
            left.rotate_left(turns as usize);
        }
        let mut is_first = true;
        loop {
            let before = results.len();
            left = self.make_free(left, &mut results)?;
            if left.is_empty() {
                return Ok(results);
            }
            match self.others {
                Others::Await => self.wait_for(left.len())?,
                // what was held may be free since, and is looked at as long as that brings something
                Others::Leave { .. } if is_first || results.len() > before => {}
                Others::Leave { .. } => return Err(Early::Left(left.len())),
            }
            is_first = false;
        }
    }

    /// Makes or reads the runs that nobody holds, and returns the others.
    fn make_free(
        &mut self,
        configs: Vec<RunConfig>,
        results: &mut Results,
    ) -> Result<Vec<RunConfig>, Early> {
        let mut held = Vec::new();
        for config in configs {
            match self.make(&config) {
                Ok(Some(result)) => {
                    results.insert((config.run_name(), config.seed), result);
                }
                Ok(None) => return Err(Early::Stopped),
                Err(RunError::Busy(_)) => held.push(config),
                Err(source) => return Err(failed(&config.run_name(), config.seed, source).into()),
            }
        }
        Ok(held)
    }

    /// Waits a moment for other processes.
    fn wait_for(&mut self, runs: usize) -> Result<(), Early> {
        self.observer.on(Event::Waiting { runs });
        thread::sleep(LOOK_EVERY);
        if self.stop.load(Ordering::Relaxed) {
            return Err(Early::Stopped);
        }
        Ok(())
    }

    /// Makes a run, or reads it; nothing if it was told to stop.
    fn make(&mut self, config: &RunConfig) -> Result<Option<SeedResult>, RunError> {
        let folder = RunFolder::new(run_folder(config, &self.options.runs_dir));
        let is_worker = matches!(self.others, Others::Leave { .. });
        // of many workers each would train a run again that has diverged, and come to the same end
        if is_worker && has_diverged(&folder) && !folder.is_locked() {
            return Ok(Some(SeedResult::diverged(config)));
        }
        let (summary, is_new) =
            match train(config, self.device, self.options, self.observer, self.stop) {
                Ok(Outcome::Finished(summary)) => (summary, true),
                Ok(Outcome::AlreadyFinished(summary)) => (summary, false),
                Ok(Outcome::Interrupted { .. }) => return Ok(None),
                Err(RunError::Diverged { .. }) => return Ok(Some(SeedResult::diverged(config))),
                Err(error) => return Err(error),
            };
        let (result, manifest) = result(config, &folder, &summary)?;
        self.devices.insert(manifest.kind_of_device());
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
    pub(super) fn evaluate_all(
        &mut self,
        plan: &Plan,
        results: &Results,
    ) -> Result<Vec<ArmResult>, Early> {
        let mut rows: Vec<ArmResult> = plan.tested.iter().map(unmade).collect();
        for &seed in &plan.seeds {
            for (tested, row) in plan.tested.iter().zip(&mut rows) {
                let config = RunConfig {
                    seed,
                    ..plan.arms[tested.arm].config.clone()
                };
                let made = &results[&(config.run_name(), seed)];
                let scored = match &tested.evaluation {
                    Some(way) => self.evaluate(made, way, &config),
                    None => analysed(plan, made, &config, self.options, self.device).map(Some),
                };
                let scored = scored.map_err(|source| failed(&tested.label, seed, source))?;
                row.seeds.push(scored.ok_or(Early::Stopped)?);
            }
        }
        Ok(rows)
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
    pub(super) fn of_another_version(
        &self,
        plan: &Plan,
        claim: &Claim,
    ) -> Result<usize, AblateError> {
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

/// The error of a run with its name.
pub(super) fn failed(label: &str, seed: u64, source: RunError) -> AblateError {
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
