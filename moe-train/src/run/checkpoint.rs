//! Checkpoints: everything that a step changes, in a folder that appears whole or not at all.

use super::files::{damaged, file_error};
use super::measured::CostMeter;
use super::metrics_log::Extent;
use super::origin::Origin;
use super::seal::{hash_file, write_sealed};
use super::{RunError, RunFolder, Trainer};
use crate::task::AnyModel;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

const MODEL: &str = "model.bpk";
const OPTIMIZER: &str = "optimizer.bpk";

/// What a checkpoint holds beside tensors. The data order and all noise are functions of the seed and
/// these numbers.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct CheckpointState {
    /// The steps made.
    pub(super) step: u64,
    /// The windows of text, or images, used.
    pub(super) consumed: u64,
    /// Seconds of training so far.
    pub(super) wall_s: f64,
    /// The task's own loss at the last step.
    pub(super) lm_loss: f64,
    /// What tokens have cost so far.
    pub(super) cost: CostMeter,
    /// The run that it is of.
    pub(super) origin: Origin,
    /// What `metrics.jsonl` held.
    pub(super) metrics: Extent,
    /// The hashes of the files beside it, which saving fills in.
    pub(super) records: Records,
}

/// The SHA-256 of the tensors' files.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
pub(super) struct Records {
    model: String,
    optimizer: String,
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
    let records = Records {
        model: hash_file(&model)?,
        optimizer: hash_file(&optimizer)?,
    };
    let state = &CheckpointState {
        records,
        ..state.clone()
    };
    write_sealed(&temporary.join("state.json"), state)?;

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

/// Puts a trainer back to where it was after a checkpoint.
pub(super) fn resume(
    folder: &RunFolder,
    trainer: &mut Trainer,
    state: &CheckpointState,
) -> Result<(), RunError> {
    trainer.model = load_model(folder, state, trainer.model.clone())?;
    trainer.optimizer = load_optimizer(folder, state, trainer.optimizer.clone())?;
    trainer.step = state.step;
    Ok(())
}

/// The weights of a checkpoint in a model of the same configuration.
pub(super) fn load_model(
    folder: &RunFolder,
    state: &CheckpointState,
    model: AnyModel,
) -> Result<AnyModel, RunError> {
    let path = folder.checkpoint(state.step).join(MODEL);
    check_record(&path, folder, &state.records.model)?;
    let record = ModuleRecord::load(&path).map_err(|e| damaged(&path, folder.path(), &e))?;
    model
        .with_record(record)
        .map_err(|e| damaged(&path, folder.path(), &e))
}

fn load_optimizer(
    folder: &RunFolder,
    state: &CheckpointState,
    optimizer: ModuleOptimizer,
) -> Result<ModuleOptimizer, RunError> {
    let path = folder.checkpoint(state.step).join(OPTIMIZER);
    check_record(&path, folder, &state.records.optimizer)?;
    let record = OptimizerRecord::load(&path).map_err(|e| damaged(&path, folder.path(), &e))?;
    Ok(optimizer.load_record(record))
}

/// Refuses tensors that are not those which were saved with the state.
fn check_record(path: &Path, folder: &RunFolder, hash: &str) -> Result<(), RunError> {
    if hash_file(path)? == hash {
        return Ok(());
    }
    let what = "it is not the file that was saved with state.json";
    Err(damaged(path, folder.path(), &what))
}

/// Deletes what a killed process left of a checkpoint that it was writing.
pub(super) fn remove_unfinished(folder: &RunFolder) -> Result<(), RunError> {
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
