//! One check for all commands: the files of a run folder belong to its configuration and to each other.

use super::checkpoint::CheckpointState;
use super::files::{damaged, foreign};
use super::folder::step_of;
use super::metrics_log::Extent;
use super::origin::{Origin, differences, values};
use super::seal::{hash_file, read_sealed, write_sealed};
use super::{RunError, RunFolder, Summary};
use crate::config::RunConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The sealed files of a run folder, all checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Papers {
    /// The configuration, the data and the vocabulary; none of a run that has not begun.
    pub(super) origin: Option<Origin>,
    /// The state of the newest checkpoint.
    pub(super) state: Option<CheckpointState>,
    /// The summary of a finished run.
    pub(crate) summary: Option<Summary>,
}

/// The file `summary.json`, which holds nothing that depends on time.
#[derive(Serialize, Deserialize)]
struct SealedSummary {
    #[serde(flatten)]
    summary: Summary,
    origin: Origin,
}

/// The file `files.json`: hashes of what does depend on time, of a finished run.
#[derive(Serialize, Deserialize)]
struct Files {
    /// All of `metrics.jsonl`.
    metrics: Extent,
    /// The SHA-256 of `manifest.json`.
    manifest: String,
}

/// Reads the sealed files of a run folder and refuses what is not of this configuration. Tensors are
/// checked where they are read.
///
/// # Errors
///
/// Returns an error that names the file which is damaged or belongs to something else.
pub(super) fn belongs(folder: &RunFolder, config: &RunConfig) -> Result<Papers, RunError> {
    let is_finished = folder.summary().exists();
    // the hash is the last file of a new folder: without it and without checkpoints there is nothing to check
    let has_begun = folder.data_hash().exists() || !folder.checkpoint_steps()?.is_empty();
    if !is_finished && !has_begun {
        return Ok(Papers::default());
    }
    let found = values(&RunConfig::load_resolved(&folder.config())?);
    if let Some(what) = differences(&found, &values(config), "this configuration") {
        return Err(foreign(&folder.config(), folder.path(), what));
    }
    let origin = Origin::read(folder, config)?;
    let mut papers = Papers {
        state: newest(folder, config, &origin)?,
        ..Papers::default()
    };
    if is_finished {
        papers.summary = Some(summary(folder, config, &origin)?);
    } else if let Some(state) = &papers.state {
        state.metrics.check(folder)?;
    }
    papers.origin = Some(origin);
    Ok(papers)
}

/// The summary of a finished run of this configuration; none of a run that is not finished.
///
/// # Errors
///
/// Returns an error that names the file which is damaged or belongs to something else.
pub fn read_summary(folder: &RunFolder, config: &RunConfig) -> Result<Option<Summary>, RunError> {
    Ok(belongs(folder, config)?.summary)
}

/// Refuses the folder of a run, or of one of its checkpoints, whose files do not belong together.
///
/// # Errors
///
/// Returns an error if there is no run, or one that names the file which is damaged or of something else.
pub fn check_run(path: &Path) -> Result<(), RunError> {
    let folder = RunFolder::new(run_of(path)?);
    let config = RunConfig::load_resolved(&folder.config())?;
    state_at(path, &folder, &config).map(|_| ())
}

/// The run folder of a path to it or to one of its checkpoints.
pub(super) fn run_of(path: &Path) -> Result<PathBuf, RunError> {
    path.ancestors()
        // a checkpoint lies two folders below its run
        .take(3)
        .find(|folder| RunFolder::new(*folder).config().is_file())
        .map(Path::to_owned)
        .ok_or_else(|| RunError::NotARun(path.to_owned()))
}

/// The state of the checkpoint that a path names, or of the newest one if there is any.
pub(super) fn state_at(
    path: &Path,
    folder: &RunFolder,
    config: &RunConfig,
) -> Result<Option<CheckpointState>, RunError> {
    let papers = belongs(folder, config)?;
    let name = path.file_name().and_then(|name| name.to_str());
    match (name.and_then(step_of), &papers.origin) {
        (Some(step), Some(origin)) => state(folder, config, origin, step).map(Some),
        _ => Ok(papers.state),
    }
}

fn newest(
    folder: &RunFolder,
    config: &RunConfig,
    origin: &Origin,
) -> Result<Option<CheckpointState>, RunError> {
    loop {
        let Some(&step) = folder.checkpoint_steps()?.last() else {
            return Ok(None);
        };
        match state(folder, config, origin, step) {
            // the process that trains the run has just replaced it
            Err(RunError::File { .. }) if !folder.checkpoint(step).exists() => (),
            found => return found.map(Some),
        }
    }
}

/// The state of a checkpoint.
pub(super) fn state(
    folder: &RunFolder,
    config: &RunConfig,
    origin: &Origin,
    step: u64,
) -> Result<CheckpointState, RunError> {
    let path = folder.state(step);
    let state: CheckpointState = read_sealed(&path, folder.path())?;
    state.origin.check(folder, origin, &path)?;
    // the step is read from a folder's name, which may say any number
    let consumed = step.checked_mul(config.sequences_per_step());
    if state.step != step || consumed != Some(state.consumed) {
        let what = format!(
            "it is of step {}, and its folder of step {step}",
            state.step
        );
        return Err(foreign(&path, folder.path(), what));
    }
    Ok(state)
}

fn summary(folder: &RunFolder, config: &RunConfig, origin: &Origin) -> Result<Summary, RunError> {
    let path = folder.summary();
    let sealed: SealedSummary = read_sealed(&path, folder.path())?;
    sealed.origin.check(folder, origin, &path)?;
    let summary = sealed.summary;
    let said = (summary.run.as_str(), summary.seed, summary.steps);
    if said != (config.run_name().as_str(), config.seed, config.train.steps) {
        let (run, seed, steps) = said;
        let what = format!("it is of {steps} steps of {run} with the seed {seed}");
        return Err(foreign(&path, folder.path(), what));
    }
    let files: Files = read_sealed(&folder.files(), folder.path())?;
    files.metrics.check_whole(folder)?;
    let manifest = folder.manifest();
    if hash_file(&manifest)? != files.manifest {
        let what = "it is not as it was written";
        return Err(damaged(&manifest, folder.path(), &what));
    }
    Ok(summary)
}

/// Writes `files.json` and `summary.json`, after `manifest.json` and the last line of `metrics.jsonl`.
pub(super) fn write_summary(
    folder: &RunFolder,
    summary: &Summary,
    origin: &Origin,
    metrics: Extent,
) -> Result<(), RunError> {
    let files = Files {
        metrics,
        manifest: hash_file(&folder.manifest())?,
    };
    write_sealed(&folder.files(), &files)?;
    let sealed = SealedSummary {
        summary: summary.clone(),
        origin: origin.clone(),
    };
    // last: a run counts as finished once this file is there
    write_sealed(&folder.summary(), &sealed)
}
