//! From a configuration to a finished run, or the rest of one.

use super::checkpoint::{self, CheckpointState};
use super::continued::check_data;
use super::files::{file_error, write_json, write_whole};
use super::measured::CostMeter;
use super::metrics_log::MetricsLog;
use super::origin::Origin;
use super::papers::{belongs, write_summary};
use super::{
    EvalMetrics, Event, Manifest, Observer, RunError, RunFolder, StepMetrics, Summary, Trainer,
    evaluate, run_folder,
};
use crate::config::RunConfig;
use crate::data::{DataConfig, DataError, Split, Vocab};
use crate::task::TaskData;
use burn::module::Module;
use burn::tensor::Device;
use moe_models::disk;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What a run needs to know that does not change its numbers.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The folder of all runs.
    pub runs_dir: PathBuf,
    /// The device's name, for the manifest.
    pub device_name: String,
    /// The command line, for the manifest.
    pub argv: Vec<String>,
}

/// How a call of [`train`] ended.
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

/// The summary of a run that is finished.
///
/// # Errors
///
/// Returns an error if there is a file that is damaged or does not belong to this configuration.
pub fn finished(config: &RunConfig, runs_dir: &Path) -> Result<Option<Summary>, RunError> {
    Ok(belongs(&RunFolder::new(run_folder(config, runs_dir)), config)?.summary)
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
    let folder = RunFolder::new(run_folder(config, &options.runs_dir));
    let before = belongs(&folder, config)?;
    if let Some(summary) = &before.summary
        && config.data.is_embedded()
    {
        return Ok(Outcome::AlreadyFinished(summary.clone()));
    }
    let data = match load_data(config, &options.runs_dir, stop) {
        Err(RunError::Data(DataError::Interrupted)) => {
            let step = folder.checkpoint_steps()?.last().copied().unwrap_or(0);
            return Ok(Outcome::Interrupted { step });
        }
        data => data?,
    };
    if let Some(origin) = &before.origin {
        check_data(&folder, &origin.data, &data)?;
    }
    if let Some(summary) = before.summary {
        return Ok(Outcome::AlreadyFinished(summary));
    }
    let mut run = Run::open(config, device, options, &data, observer)?;
    let consumed = run.trainer.consumed();
    let mut batches = data.batches(config.seed, consumed, config.train.batch_size);

    while run.trainer.step < config.train.steps {
        let metrics = run.trainer.step(&mut batches);
        run.record(&metrics, observer)?;
        let step = run.trainer.step;
        let last = step == config.train.steps;
        if step.is_multiple_of(config.train.eval_every) && !last {
            run.evaluate(Some(config.train.eval_windows), observer)?;
        }
        let stopping = stop.load(Ordering::Relaxed);
        if step.is_multiple_of(config.train.checkpoint_every) || last || stopping {
            run.save(observer)?;
        }
        if stopping && !last {
            run.log("interrupted")?;
            return Ok(Outcome::Interrupted { step });
        }
    }
    run.finish(observer).map(Outcome::Finished)
}

/// The data of a run. A Unigram vocabulary takes long to learn, so a run that has begun reads its own.
fn load_data(config: &RunConfig, runs_dir: &Path, stop: &AtomicBool) -> Result<TaskData, RunError> {
    let folder = RunFolder::new(run_folder(config, runs_dir));
    let has_begun = folder.data_hash().exists() && folder.vocabulary().exists();
    let vocab = match &config.data {
        DataConfig::Pairs(_) if has_begun => Some(Vocab::load(folder.vocabulary())?),
        _ => None,
    };
    Ok(TaskData::load_again(config, vocab.as_ref(), stop)?)
}

/// A run in progress.
struct Run<'a> {
    config: &'a RunConfig,
    data: &'a TaskData,
    folder: RunFolder,
    manifest: Manifest,
    /// Keeps other processes out of the folder.
    _lock: fs::File,
    trainer: Trainer,
    origin: Origin,
    metrics: MetricsLog,
    lm_loss: f64,
    cost: CostMeter,
    /// Seconds of training before this call.
    wall_before: f64,
    started: Instant,
}

impl<'a> Run<'a> {
    /// Creates the run folder, or goes back to its newest checkpoint.
    fn open(
        config: &'a RunConfig,
        device: &Device,
        options: &RunOptions,
        data: &'a TaskData,
        observer: &mut dyn Observer,
    ) -> Result<Self, RunError> {
        let folder = RunFolder::new(run_folder(config, &options.runs_dir));
        let lock = folder.create()?;
        // under the lock: another process may have gone on in between
        let papers = belongs(&folder, config)?;
        if let Some(origin) = &papers.origin {
            check_data(&folder, &origin.data, data)?;
        } else {
            write_whole(&folder.config(), config.to_toml().as_bytes())?;
            if let Some(vocab @ (Vocab::Bpe(_) | Vocab::Unigram(_))) = data.vocab() {
                vocab.save(folder.vocabulary())?;
            }
            // last: the folder counts as created once this is there
            write_whole(&folder.data_hash(), data.fingerprint().as_bytes())?;
        }
        let origin = Origin::read(&folder, config)?;
        let manifest = Manifest::new(&options.device_name, &options.argv);
        write_json(&folder.manifest(), &manifest)?;

        let mut trainer = Trainer::new(config, device);
        checkpoint::remove_unfinished(&folder)?;
        let state = papers.state;
        if let Some(state) = &state {
            checkpoint::resume(&folder, &mut trainer, state)?;
        }
        let metrics = MetricsLog::open(&folder, state.as_ref().map(|state| &state.metrics))?;
        observer.on(Event::Started {
            folder: folder.path(),
            data: &data.describe(),
            account: &config.account(),
            total_steps: config.train.steps,
            resumed_at: state.as_ref().map(|state| state.step),
        });
        let run = Self {
            config,
            data,
            folder,
            manifest,
            _lock: lock,
            trainer,
            origin,
            metrics,
            lm_loss: state.as_ref().map_or(f64::NAN, |state| state.lm_loss),
            cost: state
                .as_ref()
                .map_or_else(CostMeter::default, |state| state.cost.clone()),
            wall_before: state.as_ref().map_or(0.0, |state| state.wall_s),
            started: Instant::now(),
        };
        run.log(&match state {
            Some(state) => format!("continued after step {}", state.step),
            None => "started".to_owned(),
        })?;
        Ok(run)
    }

    fn record(
        &mut self,
        metrics: &StepMetrics,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        observer.on(Event::Step(metrics));
        self.lm_loss = metrics.lm_loss;
        self.cost.add(&metrics.layers);
        if !(metrics.loss.is_finite() && metrics.grad_norm.is_finite()) {
            let (step, loss) = (metrics.step, metrics.loss);
            self.log(&format!("diverged: the loss of step {step} is {loss}"))?;
            return Err(RunError::Diverged { step, loss });
        }
        let every = self.config.train.log_every;
        if metrics.step.is_multiple_of(every) || metrics.step == self.config.train.steps {
            self.metrics.write("train", metrics)?;
        }
        Ok(())
    }

    /// Scores the validation part; all of it without a limit on windows or images.
    fn evaluate(
        &mut self,
        max_windows: Option<usize>,
        observer: &mut dyn Observer,
    ) -> Result<EvalMetrics, RunError> {
        let device = self.trainer.device().clone().without_autodiff();
        let mut metrics = evaluate(
            &self.trainer.model.valid(),
            self.data,
            Split::Validation,
            max_windows,
            self.config.train.batch_size,
            &device,
        );
        metrics.step = self.trainer.step;
        if !(metrics.loss.is_finite() && metrics.score().is_finite()) {
            let (step, loss) = (metrics.step, metrics.loss);
            self.log(&format!("diverged: the validation loss is {loss}"))?;
            return Err(RunError::Diverged { step, loss });
        }
        self.metrics.write("eval", &metrics)?;
        observer.on(Event::Evaluated(&metrics));
        Ok(metrics)
    }

    fn save(&mut self, observer: &mut dyn Observer) -> Result<(), RunError> {
        let step = self.trainer.step;
        let state = CheckpointState {
            step,
            consumed: self.trainer.consumed(),
            wall_s: self.wall_s(),
            lm_loss: self.lm_loss,
            cost: self.cost.clone(),
            origin: self.origin.clone(),
            metrics: self.metrics.extent()?,
            records: checkpoint::Records::default(),
        };
        let path = checkpoint::save(&self.folder, &self.trainer, &state)?;
        observer.on(Event::Saved { step, path: &path });
        Ok(())
    }

    fn finish(mut self, observer: &mut dyn Observer) -> Result<Summary, RunError> {
        let config = self.config;
        let wall_s = self.wall_s();
        let account = config.account();
        let summary = Summary {
            run: config.run_name(),
            seed: config.seed,
            steps: config.train.steps,
            tokens: config.train.steps * config.tokens_per_step(),
            params_total: account.params_total,
            params_active: account.params_active,
            causal: config.is_causal(),
            causal_in_training: config.is_causal_in_training(),
            measured: self.cost.measured(config),
            lm_loss: self.lm_loss,
            validation: self.evaluate(None, observer)?,
        };
        let manifest = self.manifest.clone().measured(wall_s, summary.tokens);
        write_json(&self.folder.manifest(), &manifest)?;
        write_summary(&self.folder, &summary, &self.origin, self.metrics.extent()?)?;
        self.log("finished")?;
        Ok(summary)
    }

    fn wall_s(&self) -> f64 {
        self.wall_before + self.started.elapsed().as_secs_f64()
    }

    /// Adds a line to `log.txt`.
    fn log(&self, what: &str) -> Result<(), RunError> {
        let path = self.folder.log();
        let line = format!("step {}: {what}\n", self.trainer.step);
        disk::append_regular(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(file_error("write", &path))
    }
}
