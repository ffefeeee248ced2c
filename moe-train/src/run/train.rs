//! From a configuration to a finished run, or the rest of one.

use super::continued::{check_data, load_data};
use super::files::file_error;
use super::measured::CostMeter;
use super::metrics_log::MetricsLog;
use super::opening::Opened;
use super::origin::Origin;
use super::papers::belongs;
use super::{
    Event, Hold, Lock, Manifest, Observer, RunError, RunFolder, StepMetrics, Summary, Trainer,
    Watch, run_folder,
};
use crate::config::RunConfig;
use crate::data::DataError;
use crate::parallel::{Command, Lead};
use crate::task::{OtherTask, TaskBatches, TaskData};
use burn::tensor::Device;
use moe_checkpoint::disk;
use moe_parallel::Mesh;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Settings of a run that do not change its numbers.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The folder of all runs.
    pub runs_dir: PathBuf,
    /// The device's name, for the manifest.
    pub device_name: String,
    /// The command line, for the manifest.
    pub argv: Vec<String>,
    /// The name and the hash of the claim that the run is made for, for the manifest.
    pub claim: Option<String>,
    /// The processes that make the run together: the same numbers, whatever they are.
    pub mesh: Mesh,
    /// The means by which the run folder is held.
    pub lock: Lock,
}

/// Outcome of a call of [`train`].
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The run is finished.
    Finished(Summary),
    /// The run was finished before.
    AlreadyFinished(Summary),
    /// The run was told to stop, and has saved a checkpoint if it has made a step.
    Interrupted {
        /// The steps made, 0 if there was no time for one.
        step: u64,
    },
}

/// The summary of a run that is finished. One that another process trains now is not.
///
/// # Errors
///
/// Returns an error if there is a file that is damaged or does not belong to this configuration.
pub fn finished(config: &RunConfig, runs_dir: &Path) -> Result<Option<Summary>, RunError> {
    let folder = RunFolder::new(run_folder(config, runs_dir));
    if folder.is_locked() {
        return Ok(None);
    }
    Ok(belongs(&folder, config)?.summary)
}

/// Trains until the last step, or until `stop` is set. A run folder that exists is continued from its
/// newest checkpoint, and gives the same numbers as a run that was never stopped.
///
/// # Errors
///
/// Returns an error if the data or a file of the run folder cannot be read or written, or if the loss
/// is not a number any more.
pub fn train(
    config: &RunConfig,
    device: &Device,
    options: &RunOptions,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Outcome, RunError> {
    config.validate()?;
    let n_experts = config.experts().n_experts;
    options.mesh.check(config.train.accumulate, n_experts)?;
    let folder = RunFolder::new(run_folder(config, &options.runs_dir));
    if folder.is_locked() {
        return Err(RunError::Busy(folder.path().to_owned()));
    }
    let before = belongs(&folder, config)?;
    if let Some(summary) = &before.summary
        && config.data.is_embedded()
    {
        return Ok(Outcome::AlreadyFinished(summary.clone()));
    }
    if before.summary.is_none() {
        let folder = folder.path();
        observer.on(Event::Opened { folder });
    }
    let (data, hash) = match load_data(config, &folder, observer, stop) {
        Err(RunError::Data(DataError::Interrupted)) => {
            let step = folder.checkpoint_steps()?.last().copied().unwrap_or(0);
            return Ok(Outcome::Interrupted { step });
        }
        loaded => loaded?,
    };
    if let Some(origin) = &before.origin {
        check_data(&folder, &origin.data, &hash)?;
    }
    if let Some(summary) = before.summary {
        return Ok(Outcome::AlreadyFinished(summary));
    }
    let mut run = match Run::open(config, device, options, (&data, &hash), observer)? {
        Opened::Run(run) => run,
        Opened::Finished(summary) => return Ok(Outcome::AlreadyFinished(summary)),
    };
    let mut watch = Watch { observer, stop };
    let consumed = run.trainer.consumed();
    let mut batches = data.batches(config.seed, consumed, config.train.batch_size);
    while run.trainer.step < config.train.steps {
        if run.advance(&mut batches, &mut watch)?.is_none() {
            return run.interrupt(&mut watch);
        }
    }
    match run.finish(&mut watch)? {
        Some(summary) => Ok(Outcome::Finished(summary)),
        None => run.interrupt(&mut watch),
    }
}

/// True if an evaluation follows a step; the one after the last step is another.
fn evaluates_after(config: &RunConfig, step: u64) -> bool {
    let train = &config.train;
    step > 0 && step.is_multiple_of(train.eval_every) && step < train.steps
}

/// A run in progress.
pub(super) struct Run<'a> {
    pub(super) config: &'a RunConfig,
    pub(super) data: &'a TaskData,
    pub(super) folder: RunFolder,
    pub(super) manifest: Manifest,
    /// Keeps other processes out of the folder.
    pub(super) hold: Hold,
    pub(super) trainer: Trainer,
    /// Hold on the other ranks.
    pub(super) lead: Lead,
    pub(super) origin: Origin,
    pub(super) metrics: MetricsLog,
    pub(super) lm_loss: f64,
    pub(super) cost: CostMeter,
    /// The step of a checkpoint whose weights have given no numbers yet.
    pub(super) untried: Option<u64>,
    /// Set if the evaluation after the last step is still to be made.
    pub(super) owes_evaluation: bool,
    /// Seconds of training before this call.
    pub(super) wall_before: f64,
    pub(super) started: Instant,
}

impl<'a> Run<'a> {
    /// Makes a step with the evaluation and the checkpoint that follow it; nothing if it was told to stop
    /// before all of that was done.
    fn advance(
        &mut self,
        batches: &mut TaskBatches<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Option<()>, RunError> {
        if !self.owes_evaluation {
            let Some(metrics) = self.step(batches, watch)? else {
                return Ok(None);
            };
            self.record(&metrics, watch.observer)?;
            self.owes_evaluation = evaluates_after(self.config, self.trainer.step);
        }
        let train = &self.config.train;
        if self.owes_evaluation && self.evaluate(train.eval_windows, watch)?.is_none() {
            return Ok(None);
        }
        self.owes_evaluation = false;
        let step = self.trainer.step;
        if step.is_multiple_of(train.checkpoint_every) || step == train.steps {
            self.save_once(watch.observer)?;
        }
        Ok((!watch.stops()).then_some(()))
    }

    /// Makes a step; nothing if it was told to stop before the step was made.
    fn step(
        &mut self,
        batches: &mut TaskBatches<'_>,
        watch: &Watch<'_>,
    ) -> Result<Option<StepMetrics>, OtherTask> {
        if !self.trainer.mesh().is_shared() {
            return self.trainer.step_unless(batches, watch.stop);
        }
        // a step that several make is made to its end
        if watch.stops() {
            return Ok(None);
        }
        self.lead.say(&Command::Step);
        let metrics = self.trainer.step(batches)?;
        if let Some(world) = &mut self.manifest.world {
            let traffic = self.trainer.traffic();
            world.exchange_s += traffic.seconds;
            world.waited_s += traffic.waited;
            world.sent_bytes += traffic.bytes;
            world.own_tokens += self.config.tokens_per_step() / world.ranks as u64;
        }
        Ok(Some(metrics))
    }

    fn record(
        &mut self,
        metrics: &StepMetrics,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        self.hold.refresh()?;
        observer.on(Event::Step(metrics));
        self.lm_loss = metrics.lm_loss;
        self.cost.add(&metrics.layers);
        let numbers = [
            ("loss", metrics.loss),
            ("gradient's norm", metrics.grad_norm),
        ];
        if let Some((what, value)) = numbers.iter().find(|(_, value)| !value.is_finite()) {
            return Err(self.diverged(format!("the {what} is {value}"), metrics.step - 1)?);
        }
        self.trust_checkpoint()?;
        let every = self.config.train.log_every;
        if metrics.step.is_multiple_of(every) || metrics.step == self.config.train.steps {
            self.metrics.write("train", metrics)?;
        }
        Ok(())
    }

    pub(super) fn wall_s(&self) -> f64 {
        self.wall_before + self.started.elapsed().as_secs_f64()
    }

    /// Adds a line to `log.txt`.
    pub(super) fn log(&self, what: &str) -> Result<(), RunError> {
        let path = self.folder.log();
        let line = format!("step {}: {what}\n", self.trainer.step);
        disk::append_regular(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(file_error("write", &path))
    }
}
