//! A run that was trained: its model with what it was trained by.

use super::files::read_json;
use super::{EvalMetrics, Manifest, RunError, RunFolder, checkpoint, evaluate};
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
        if !overrides.is_empty() {
            config = config.evaluated_with(overrides)?;
        }
        let step = match step_of(path) {
            Some(step) => step,
            None => *folder
                .checkpoint_steps()?
                .last()
                .ok_or_else(|| RunError::NoCheckpoint(folder.path().to_owned()))?,
        };
        let device = device.clone().without_autodiff();
        let model = config.init_model(&device);
        let model = checkpoint::load_model(&folder.checkpoint(step), folder.path(), model)?;
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
            step,
        })
    }
}

/// Scores a whole part of the run's data.
///
/// # Errors
///
/// Returns an error if the data cannot be loaded any more.
pub fn evaluate_run(
    run: &LoadedRun,
    split: Split,
    device: &Device,
) -> Result<EvalMetrics, RunError> {
    let train = &run.config.train;
    let data = TaskData::load_again(&run.config, run.vocab.as_ref(), &AtomicBool::new(false))?;
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

/// The step of a path to a checkpoint.
fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?
        .to_str()?
        .strip_prefix("step-")?
        .parse()
        .ok()
}

/// Reads a summary if there is one.
pub(crate) fn read_summary(folder: &RunFolder) -> Result<Option<super::Summary>, RunError> {
    let path = folder.summary();
    if !path.exists() {
        return Ok(None);
    }
    read_json(&path, folder.path()).map(Some)
}

/// Reads the manifest of a run.
///
/// # Errors
///
/// Returns an error if it is missing or damaged.
pub fn read_manifest(folder: &RunFolder) -> Result<Manifest, RunError> {
    read_json(&folder.manifest(), folder.path())
}
