//! Checkpoints: everything that a step changes, in a folder that appears whole or not at all.

use super::files::{damaged, file_error, sync};
use super::measured::CostMeter;
use super::metrics_log::Extent;
use super::origin::Origin;
use super::seal::{hash_file, write_sealed};
use super::{RunError, RunFolder, Trainer};
use crate::task::AnyModel;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::{ModuleRecord, RecordError};
use moe_checkpoint::disk;
use moe_models::not_finite;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

const MODEL: &str = "model.bpk";
const OPTIMIZER: &str = "optimizer.bpk";

/// State of a run beside tensors. The data order and all noise are functions of the seed and these numbers.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(crate) struct CheckpointState {
    /// The steps made.
    pub(super) step: u64,
    /// The windows of text, or images, used.
    pub(super) consumed: u64,
    /// Seconds of training so far.
    pub(super) wall_s: f64,
    /// The task's own loss at the last step.
    pub(super) lm_loss: f64,
    /// `true` if the evaluation after the step was interrupted.
    pub(super) owes_evaluation: bool,
    /// Cost of tokens so far.
    pub(super) cost: CostMeter,
    /// The run that it is of.
    pub(super) origin: Origin,
    /// Extent of `metrics.jsonl`.
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

/// Tensors that a checkpoint saves, those of all ranks.
pub(super) struct Saved {
    pub(super) model: AnyModel,
    optimizer: Result<OptimizerRecord, RecordError>,
}

impl Saved {
    /// Brings the shares of a replica's ranks together, all of which do their part.
    pub(super) fn of(trainer: &Trainer) -> Self {
        Self {
            model: trainer.whole_model(),
            optimizer: trainer.whole_moments(),
        }
    }
}

/// Saves a checkpoint. The older ones stay until [`remove_older`].
pub(super) fn save(
    folder: &RunFolder,
    saved: Saved,
    state: &CheckpointState,
) -> Result<PathBuf, RunError> {
    let target = folder.checkpoint(state.step);
    let temporary = folder.checkpoints().join(format!(".step-{}", state.step));
    remove(&temporary)?;
    fs::create_dir_all(&temporary).map_err(file_error("create", &temporary))?;

    let model = temporary.join(MODEL);
    let record = saved.model.record();
    record.save(&model).map_err(|e| unsaved(&model, &e))?;
    let optimizer = temporary.join(OPTIMIZER);
    let record = saved.optimizer;
    record
        .and_then(|record| record.save(&optimizer))
        .map_err(|e| unsaved(&optimizer, &e))?;
    let records = Records {
        model: hash_file(&model)?,
        optimizer: hash_file(&optimizer)?,
    };
    // the state is written last, since it vouches for the files beside it
    let state = &CheckpointState {
        records,
        ..state.clone()
    };
    write_sealed(&temporary.join("state.json"), state)?;

    // before the rename, which must not reach the disk ahead of what it names
    for file in [&model, &optimizer, &temporary] {
        sync(file)?;
    }
    // a folder with files cannot be renamed over
    remove(&target)?;
    fs::rename(&temporary, &target).map_err(file_error("rename", &target))?;
    // a rename is on the disk once the folder that holds the name is
    sync(&folder.checkpoints())?;
    Ok(target)
}

/// Deletes the checkpoints before a step.
pub(super) fn remove_older(folder: &RunFolder, step: u64) -> Result<(), RunError> {
    let steps = folder.checkpoint_steps()?;
    let mut older = steps.into_iter().filter(|&older| older < step);
    older.try_for_each(|older| remove_step(folder, older))
}

/// Deletes the newest checkpoint, whose weights have proved to be of no use, if there is an older one.
pub(super) fn go_back(folder: &RunFolder) -> Result<(), RunError> {
    match folder.checkpoint_steps()?.as_slice() {
        [.., _, newest] => remove_step(folder, *newest),
        _ => Ok(()),
    }
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
    let model = model
        .with_record(record)
        .map_err(|e| damaged(&path, folder.path(), &e))?;
    match not_finite(&model) {
        Some(parameter) => Err(RunError::NotFinite { path, parameter }),
        None => Ok(model),
    }
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

/// Deletes a checkpoint, which first loses its name: a killed process leaves a whole one or none.
fn remove_step(folder: &RunFolder, step: u64) -> Result<(), RunError> {
    let hidden = folder.checkpoints().join(format!(".step-{step}-old"));
    // a killed process may have left one, over which nothing can be renamed
    remove(&hidden)?;
    let checkpoint = folder.checkpoint(step);
    fs::rename(&checkpoint, &hidden).map_err(file_error("rename", &checkpoint))?;
    remove(&hidden)
}

/// Deletes what a killed process left of files and checkpoints that it was writing or deleting.
pub(super) fn remove_unfinished(folder: &RunFolder) -> Result<(), RunError> {
    let checkpoints = folder.checkpoints();
    let entries = fs::read_dir(&checkpoints).map_err(file_error("list", &checkpoints))?;
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".step-"))
        .try_for_each(|entry| remove(&entry.path()))?;
    let entries = fs::read_dir(folder.path()).map_err(file_error("list", folder.path()))?;
    entries
        .filter_map(Result::ok)
        .filter(|entry| disk::is_unfinished(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .try_for_each(|path| fs::remove_file(&path).map_err(file_error("delete", &path)))
}

fn remove(path: &Path) -> Result<(), RunError> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(file_error("delete", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::metrics_log::MetricsLog;
    use super::super::papers;
    use super::*;
    use crate::config::RunConfig;
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::{Device, Tensor};

    /// Makes one parameter infinite.
    struct Spoil {
        path: Vec<String>,
    }

    impl ModuleMapper for Spoil {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let is_it = self.path.join(".").ends_with("layers.1.moe.experts.up");
            param.map(|tensor| if is_it { tensor / 0.0 } else { tensor })
        }
    }

    #[test]
    fn weights_that_are_not_numbers_are_not_loaded() {
        let small = [
            "model.d_model=8",
            "model.n_layers=2",
            "attention.n_heads=2",
            "attention.n_kv_heads=1",
            "experts.d_expert=4",
        ];
        let config = RunConfig::of_overrides(&small).unwrap();
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(runs.path());
        let _lock = folder.create().unwrap();
        fs::write(folder.data_hash(), "0".repeat(64)).unwrap();
        let origin = Origin::read(&folder, &config).unwrap();
        let mut trainer = Trainer::new(&config, &Device::flex());
        let model = trainer.model.clone();
        let unsaved = CheckpointState {
            step: 3,
            consumed: 3 * config.sequences_per_step(),
            wall_s: 0.0,
            lm_loss: 1.0,
            owes_evaluation: false,
            cost: CostMeter::default(),
            origin: origin.clone(),
            metrics: MetricsLog::open(&folder, None).unwrap().extent().unwrap(),
            records: Records::default(),
        };
        let saved_and_loaded = |trainer: &Trainer| {
            save(&folder, Saved::of(trainer), &unsaved).unwrap();
            let state = papers::state(&folder, &config, &origin, 3).unwrap();
            load_model(&folder, &state, model.clone())
        };

        assert!(saved_and_loaded(&trainer).is_ok());
        trainer.model = trainer.model.map(&mut Spoil { path: Vec::new() });
        let error = saved_and_loaded(&trainer).unwrap_err();
        let RunError::NotFinite { parameter, .. } = &error else {
            panic!("{error}");
        };
        assert!(
            parameter.ends_with("layers.1.moe.experts.up"),
            "{parameter}"
        );
    }
}
