//! Checkpoints: everything that a step changes, in a folder that appears whole or not at all.

use super::files::{damaged, file_error, read_json, write_json};
use super::measured::CostMeter;
use super::{RunError, RunFolder, Trainer};
use crate::task::AnyModel;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

const MODEL: &str = "model.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";

/// What a checkpoint holds beside tensors. The data order and all noise are functions of the seed and
/// these numbers.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct CheckpointState {
    /// The steps made.
    pub(super) step: u64,
    /// The windows of text, or images, used.
    pub(super) consumed: u64,
    /// The seed of data order and noise.
    pub(super) seed: u64,
    /// Seconds of training so far.
    pub(super) wall_s: f64,
    /// The task's own loss at the last step.
    pub(super) lm_loss: f64,
    /// What tokens have cost so far; empty in a checkpoint of a version that did not count.
    #[serde(default)]
    pub(super) cost: CostMeter,
}

/// Saves a checkpoint and then deletes the older ones.
pub(super) fn save(
    folder: &RunFolder,
    trainer: &Trainer,
    state: &CheckpointState,
) -> Result<PathBuf, RunError> {
    let target = folder.checkpoint(state.step);
    let temporary = folder.checkpoints().join(format!(".step-{}", state.step));
    remove(&temporary)?;
    fs::create_dir_all(&temporary).map_err(file_error("create", &temporary))?;

    let model = temporary.join(MODEL);
    let record = trainer.model.record();
    record.save(&model).map_err(|e| unsaved(&model, &e))?;
    let optimizer = temporary.join(OPTIMIZER);
    let record = trainer.optimizer.to_record();
    record
        .save(&optimizer)
        .map_err(|e| unsaved(&optimizer, &e))?;
    write_json(&temporary.join(STATE), state)?;

    remove(&target)?;
    fs::rename(&temporary, &target).map_err(file_error("rename", &target))?;
    for older in folder.checkpoint_steps()? {
        if older != state.step {
            remove(&folder.checkpoint(older))?;
        }
    }
    Ok(target)
}

fn unsaved(path: &Path, what: &dyn std::fmt::Display) -> RunError {
    RunError::Save {
        path: path.to_owned(),
        what: what.to_string(),
    }
}

/// Puts a trainer back to where it was after the newest checkpoint, if there is one.
pub(super) fn resume(
    folder: &RunFolder,
    trainer: &mut Trainer,
) -> Result<Option<CheckpointState>, RunError> {
    remove_unfinished(folder)?;
    let Some(&step) = folder.checkpoint_steps()?.last() else {
        return Ok(None);
    };
    let path = folder.checkpoint(step);
    let state: CheckpointState = read_json(&path.join(STATE), folder.path())?;
    trainer.model = load_model(&path, folder.path(), trainer.model.clone())?;
    trainer.optimizer = load_optimizer(&path, folder.path(), trainer.optimizer.clone())?;
    trainer.step = state.step;
    Ok(Some(state))
}

/// The weights of a checkpoint in a model of the same configuration.
pub(super) fn load_model(
    checkpoint: &Path,
    folder: &Path,
    model: AnyModel,
) -> Result<AnyModel, RunError> {
    let path = checkpoint.join(MODEL);
    let record = ModuleRecord::load(&path).map_err(|e| damaged(&path, folder, &e))?;
    model
        .with_record(record)
        .map_err(|e| damaged(&path, folder, &e))
}

fn load_optimizer(
    checkpoint: &Path,
    folder: &Path,
    optimizer: ModuleOptimizer,
) -> Result<ModuleOptimizer, RunError> {
    let path = checkpoint.join(OPTIMIZER);
    let record = OptimizerRecord::load(&path).map_err(|e| damaged(&path, folder, &e))?;
    Ok(optimizer.load_record(record))
}

/// Deletes what a killed process left of a checkpoint that it was writing.
fn remove_unfinished(folder: &RunFolder) -> Result<(), RunError> {
    let checkpoints = folder.checkpoints();
    let entries = fs::read_dir(&checkpoints).map_err(file_error("list", &checkpoints))?;
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".step-"))
        .try_for_each(|entry| remove(&entry.path()))
}

fn remove(path: &Path) -> Result<(), RunError> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(file_error("delete", path))?;
    }
    Ok(())
}
