//! A run that was trained: its model with what it was trained by.

use super::checkpoint;
use super::continued::check_data;
use super::evaluate::{Scope, evaluate};
use super::files::read_json;
use super::papers::{run_of, state_at};
use super::{EvalMetrics, Manifest, RunError, RunFolder, Silent, Watch};
use crate::config::RunConfig;
use crate::data::{DataConfig, DataError, Split, Vocab, VocabKind};
use crate::task::{AnyModel, ModelAndData, TaskData};
use burn::tensor::Device;
use moe_models::NotFinite;
use moe_parallel::{Communicator, One};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// A trained model with what it was trained by.
#[derive(Debug)]
pub struct LoadedRun {
    /// The run folder.
    pub folder: PathBuf,
    /// Its configuration, with the router as it is evaluated.
    pub config: RunConfig,
    /// The model, without gradients.
    pub model: AnyModel,
    /// Its vocabulary, of a run that reads text.
    pub vocab: Option<Vocab>,
    /// The step of the checkpoint.
    pub step: u64,
    /// The hash of the data that it was trained on; none of a model that is of no run folder.
    pub data_hash: Option<String>,
}

impl LoadedRun {
    /// Reads the newest checkpoint of a run folder, or the checkpoint that the path names.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no run or no checkpoint, or if a file is damaged.
    pub fn open(path: &Path, device: &Device) -> Result<Self, RunError> {
        Self::open_with::<&str>(path, &[], device)
    }

    /// As [`open`](Self::open), with other values of the router: another capacity than in training, say.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) and [`RunConfig::evaluated_with`].
    pub fn open_with<S: AsRef<str>>(
        path: &Path,
        overrides: &[S],
        device: &Device,
    ) -> Result<Self, RunError> {
        let folder = RunFolder::new(run_of(path)?);
        let mut config = RunConfig::load_resolved(&folder.config())?;
        let state = state_at(path, &folder, &config)?;
        let state = state.ok_or_else(|| RunError::NoCheckpoint(folder.path().to_owned()))?;
        // after the check of the files, which are of the router that was trained
        if !overrides.is_empty() {
            config = config.evaluated_with(overrides)?;
        }
        let device = device.clone().without_autodiff();
        let model = checkpoint::load_model(&folder, &state, config.init_model(&device))?;
        let vocab = match &config.data {
            DataConfig::Text(text) => Some(match text.vocab {
                VocabKind::Bytes => Vocab::Bytes,
                VocabKind::Bpe => Vocab::load(folder.vocabulary())?,
            }),
            DataConfig::Pairs(_) => Some(Vocab::load(folder.vocabulary())?),
            DataConfig::Images(_) => None,
        };
        Ok(Self {
            folder: folder.path().to_owned(),
            config,
            model,
            vocab,
            step: state.step,
            data_hash: Some(state.origin.data),
        })
    }

    /// The data that the run was trained on, unless `stop` is set before all of it is read.
    ///
    /// # Errors
    ///
    /// Returns an error if the data cannot be loaded any more, or has changed: what is held out of it now
    /// may have been trained on. Returns one as well if `stop` was set before all was read.
    pub fn data(&self, stop: &AtomicBool) -> Result<TaskData, RunError> {
        let data = TaskData::load_again(&self.config, self.vocab.as_ref(), stop)?;
        if let Some(then) = &self.data_hash {
            check_data(
                &RunFolder::new(&self.folder),
                then,
                &data.fingerprint(stop)?,
            )?;
        }
        Ok(data)
    }
}

/// Scores a part of the run's data: all of it, or at most so many evenly spaced windows, images or pairs.
/// Nothing if it was told to stop.
///
/// # Errors
///
/// As [`LoadedRun::data`], and if the score is not finite.
pub fn evaluate_run(
    run: &LoadedRun,
    split: Split,
    most: Option<usize>,
    device: &Device,
    watch: &mut Watch<'_>,
) -> Result<Option<EvalMetrics>, RunError> {
    evaluate_run_on(&One, run, split, most, device, watch)
}

/// The same by all ranks of a group, each of which scores some of the batches and gets the whole result.
///
/// # Errors
///
/// As [`evaluate_run`].
pub fn evaluate_run_on(
    world: &dyn Communicator,
    run: &LoadedRun,
    split: Split,
    most: Option<usize>,
    device: &Device,
    watch: &mut Watch<'_>,
) -> Result<Option<EvalMetrics>, RunError> {
    let data = match run.data(watch.stop) {
        Err(RunError::Data(DataError::Interrupted)) => return Ok(None),
        data => data?,
    };
    let device = device.clone().without_autodiff();
    let scope = Scope {
        split,
        most,
        batch_size: run.config.train.batch_size,
        world,
    };
    let scored = evaluate(run.model.with(&data)?, scope, &device, watch);
    let Some(mut metrics) = scored.map_err(|source| no_score(run, source))? else {
        return Ok(None);
    };
    metrics.step = run.step;
    Ok(Some(metrics))
}

/// Refuses a run whose model's scores of a batch of its data are not finite.
///
/// # Errors
///
/// Returns an error that names the run if a score is not finite.
pub fn check_scores(
    run: &LoadedRun,
    of: ModelAndData<'_>,
    split: Split,
    device: &Device,
) -> Result<(), RunError> {
    let batch_size = run.config.train.batch_size;
    let scope = Scope {
        split,
        most: Some(batch_size),
        batch_size,
        world: &One,
    };
    let mut watch = Watch {
        observer: &mut Silent,
        stop: &AtomicBool::new(false),
    };
    let scored = evaluate(of, scope, device, &mut watch);
    scored.map(drop).map_err(|source| no_score(run, source))
}

fn no_score(run: &LoadedRun, source: NotFinite) -> RunError {
    let folder = run.folder.clone();
    RunError::NoScore { folder, source }
}

/// Reads the manifest of a run.
///
/// # Errors
///
/// Returns an error if it is missing or damaged.
pub fn read_manifest(folder: &RunFolder) -> Result<Manifest, RunError> {
    read_json(&folder.manifest(), folder.path())
}
