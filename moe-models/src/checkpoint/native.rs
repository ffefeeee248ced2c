//! Our own files of a published model: `model.bpk`, as training writes it, beside the published
//! `config.json`.

use super::folder::PublishedCheckpoint;
use super::load::Precision;
use super::write::{whole_folder, write_published};
use super::{CheckpointError, error::file_error};
use crate::AnyDecoder;
use crate::published::PublishedConfig;
use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::Device;
use std::fs;
use std::path::Path;

const MODEL: &str = "model.bpk";
const CONFIG: &str = "config.json";

/// Whether a path looks like our own files of a published model.
pub fn is_native(folder: &Path) -> bool {
    folder.join(MODEL).is_file() && folder.join(CONFIG).is_file()
}

/// Converts a published checkpoint to our own files, each tensor in the type that it is stored in; FP8
/// becomes f32.
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
    let from = checkpoint.folder().join(CONFIG);
    let text = fs::read(&from).map_err(file_error("read", &from))?;
    whole_folder(target, |folder| {
        let path = folder.join(CONFIG);
        fs::write(&path, &text).map_err(file_error("write", &path))?;
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
    let path = folder.join(CONFIG);
    let config = PublishedConfig::read(&path)?;
    let text = fs::read(&path).map_err(file_error("read", &path))?;
    let model = load_native(folder, &config, device)?;
    write_published(&model, &config, &text, target)
}

fn load_native(
    folder: &Path,
    config: &PublishedConfig,
    device: &Device,
) -> Result<AnyDecoder, CheckpointError> {
    let path = folder.join(MODEL);
    let damaged = |what: String| CheckpointError::Native {
        path: path.clone(),
        what,
    };
    let described = config.model().ok_or_else(|| CheckpointError::CountedOnly {
        path: folder.join(CONFIG),
        model_type: config.model_type(),
    })?;
    let record = ModuleRecord::load(&path).map_err(|error| damaged(error.to_string()))?;
    let model = described.init(&device.clone().without_autodiff());
    model
        .try_load_record(record)
        .map_err(|error| damaged(error.to_string()))
}
