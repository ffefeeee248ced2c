//! A run that was trained: its model with what it was trained by.

use super::checkpoint::{self, CheckpointState};
use super::continued::check_data;
use super::files::read_json;
use super::folder::step_of;
use super::papers::{belongs, state};
use super::{EvalMetrics, Manifest, RunError, RunFolder, evaluate};
use crate::config::RunConfig;
use crate::data::{DataConfig, Split, Vocab, VocabKind};
use crate::task::{AnyModel, TaskData};
use burn::tensor::Device;
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
        let state = state_of(path, &folder, &config)?;
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

    /// The data that the run was trained on.
    ///
    /// # Errors
    ///
    /// Returns an error if the data cannot be loaded any more, or has changed: what is held out of it now
    /// may have been trained on.
    pub fn data(&self) -> Result<TaskData, RunError> {
        let data =
            TaskData::load_again(&self.config, self.vocab.as_ref(), &AtomicBool::new(false))?;
        if let Some(then) = &self.data_hash {
            check_data(&RunFolder::new(&self.folder), then, &data)?;
        }
        Ok(data)
    }
}

/// The state of the checkpoint that a path names, or of the newest one.
fn state_of(
    path: &Path,
    folder: &RunFolder,
    config: &RunConfig,
) -> Result<CheckpointState, RunError> {
    let papers = belongs(folder, config)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let found = match (name.and_then(step_of), &papers.origin) {
        (Some(step), Some(origin)) => Some(state(folder, config, origin, step)?),
        _ => papers.state,
    };
    found.ok_or_else(|| RunError::NoCheckpoint(folder.path().to_owned()))
}

/// Scores a whole part of the run's data.
///
/// # Errors
///
/// As [`LoadedRun::data`].
pub fn evaluate_run(
    run: &LoadedRun,
    split: Split,
    device: &Device,
) -> Result<EvalMetrics, RunError> {
    let train = &run.config.train;
    let data = run.data()?;
    let device = device.clone().without_autodiff();
    let mut metrics = evaluate(&run.model, &data, split, None, train.batch_size, &device);
    metrics.step = run.step;
    Ok(metrics)
}

/// The run folder of a path to it or to one of its checkpoints.
fn run_of(path: &Path) -> Result<PathBuf, RunError> {
    path.ancestors()
        .take(3)
        .find(|folder| RunFolder::new(*folder).config().is_file())
        .map(Path::to_owned)
        .ok_or_else(|| RunError::NotARun(path.to_owned()))
}

/// Reads the manifest of a run.
///
/// # Errors
///
/// Returns an error if it is missing or damaged.
pub fn read_manifest(folder: &RunFolder) -> Result<Manifest, RunError> {
    read_json(&folder.manifest(), folder.path())
}
