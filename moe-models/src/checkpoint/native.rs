//! Our own files of a published model: `model.bpk`, as training writes it, beside the published
//! `config.json`.

use super::copied::copied_config;
use super::folder::{PublishedCheckpoint, described};
use super::kept::Kept;
use super::load::Precision;
use super::write::{whole_folder, write_restored};
use super::{CheckpointError, error::file_error};
use crate::disk::open_regular;
use crate::published::{PublishedConfig, PublishedModel};
use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::Device;
use std::fs;
use std::path::{Path, PathBuf};

const MODEL: &str = "model.bpk";
const CONFIG: &str = "config.json";

/// Whether a path looks like our own files of a published model.
pub fn is_native(folder: &Path) -> bool {
    folder.join(MODEL).is_file() && folder.join(CONFIG).is_file()
}

/// Converts a published checkpoint to our own files, each tensor in the type that it is stored in; FP8
/// becomes f32, and what the way back needs is kept in a file beside. The whole model is in memory.
///
/// # Errors
///
/// Returns an error if a tensor cannot be read, or if `target` exists or cannot be written; nothing is
/// left behind then.
pub fn to_native(
    checkpoint: &PublishedCheckpoint,
    target: &Path,
    device: &Device,
) -> Result<(), CheckpointError> {
    let model = checkpoint.load(Precision::Stored, &device.clone().without_autodiff())?;
    let is_fp8 = checkpoint.files().has_fp8();
    let text = copied_config(checkpoint.folder(), Some(checkpoint.config()), is_fp8)?;
    write_native(model, &text, target, |folder| {
        let layout = checkpoint.layout();
        Kept::write(
            checkpoint.files(),
            layout.entries(),
            layout.copies(),
            folder,
        )
    })
}

/// Writes our own files of a model with the text of its configuration, and what `keep` writes beside.
pub(super) fn write_native<M: Module>(
    model: M,
    config_text: &[u8],
    target: &Path,
    keep: impl FnOnce(&Path) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    whole_folder(target, |folder| {
        let path = folder.join(CONFIG);
        fs::write(&path, config_text).map_err(file_error("write", &path))?;
        keep(folder)?;
        let path = folder.join(MODEL);
        let record = model.into_record();
        record.save(&path).map_err(|error| CheckpointError::Native {
            path,
            what: format!("it cannot be written: {error}"),
        })
    })
}

/// Converts our own files back to the published layout.
///
/// # Errors
///
/// Returns an error if the files are damaged or do not belong together, or if `target` exists or cannot
/// be written; nothing is left behind then.
pub fn from_native(folder: &Path, target: &Path, device: &Device) -> Result<(), CheckpointError> {
    NativeCheckpoint::open(folder)?.publish(target, device)
}

/// Our own files of a published model.
pub struct NativeCheckpoint {
    folder: PathBuf,
    config: PublishedConfig,
    model: PublishedModel,
    record: ModuleRecord,
    kept: Kept,
}

impl NativeCheckpoint {
    /// Reads the files; the tensors are compared with the configuration when a model is made of them.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is damaged, or if the sizes of the configuration do not fit together.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let config = PublishedConfig::read(&folder.join(CONFIG))?;
        Ok(Self {
            folder: folder.to_owned(),
            model: described(&config, folder.join(CONFIG))?,
            record: read_record(folder)?,
            config,
            kept: Kept::read(folder)?,
        })
    }

    /// Writes the model in the published layout; all of it is in memory.
    ///
    /// # Errors
    ///
    /// As [`from_native`].
    pub fn publish(self, target: &Path, device: &Device) -> Result<(), CheckpointError> {
        let text = copied_config(&self.folder, Some(&self.config), self.kept.has_scales())?;
        let model = self.model.init(&device.clone().without_autodiff());
        let model = load_record(model, self.record, &self.folder)?;
        write_restored(&model, &self.config, &text, self.kept, target)
    }
}

/// The tensors of our own files.
pub(super) fn read_record(folder: &Path) -> Result<ModuleRecord, CheckpointError> {
    let path = folder.join(MODEL);
    open_regular(&path).map_err(file_error("read", &path))?;
    ModuleRecord::load(&path).map_err(|error| damaged(&path, &error))
}

/// A model with the tensors of our own files.
pub(super) fn load_record<M: Module>(
    model: M,
    record: ModuleRecord,
    folder: &Path,
) -> Result<M, CheckpointError> {
    let model = model.try_load_record(record);
    model.map_err(|error| damaged(&folder.join(MODEL), &error))
}

fn damaged(path: &Path, what: &dyn std::fmt::Display) -> CheckpointError {
    CheckpointError::Native {
        path: path.to_owned(),
        what: what.to_string(),
    }
}
