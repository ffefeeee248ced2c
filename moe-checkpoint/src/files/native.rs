//! Our own files of a published model: `model.bpk`, as training writes it, beside the published
//! `config.json`.

use super::carried::{Carried, carry};
use super::folder::PublishedCheckpoint;
use super::kept::Kept;
use super::layout::ByParameter;
use super::load::{Precision, held};
use super::write::{collect, whole_folder, write_files};
use super::{CheckpointError, TensorCopy, error::file_error};
use crate::disk::{open_regular, write_new};
use burn::module::{Module, ModuleMapper, Param};
use burn::store::ModuleRecord;
use burn::tensor::{Device, Tensor};
use moe_models::ParameterPath;
use moe_models::not_finite;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const MODEL: &str = "model.bpk";
const CONFIG: &str = "config.json";

/// Tells whether a path looks like our own files of a published model.
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
) -> Result<Carried, CheckpointError> {
    checkpoint.to_native(target, device)
}

/// Converts our own files back to the published layout.
///
/// # Errors
///
/// Returns an error if the files are damaged or do not belong together, or if `target` exists or cannot
/// be written; nothing is left behind then.
pub fn from_native(
    folder: &Path,
    target: &Path,
    device: &Device,
) -> Result<Carried, CheckpointError> {
    PublishedCheckpoint::open(folder)?.rewrite(target, device)
}

/// Our own files in a folder.
#[derive(Debug)]
pub(super) struct NativeFiles {
    folder: PathBuf,
}

impl NativeFiles {
    /// Takes the files of a folder, of which the tensors are read when a model is made of them.
    pub(super) fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(MODEL);
        open_regular(&path).map_err(file_error("read", &path))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The scales and copies of the published files.
    pub(super) fn kept(&self) -> Result<Kept, CheckpointError> {
        Kept::read(&self.folder)
    }

    /// The model with its tensors in the types of a precision.
    pub(super) fn load<M: Module>(
        &self,
        empty: M,
        entries: &ByParameter,
        precision: Precision,
    ) -> Result<M, CheckpointError> {
        let path = self.folder.join(MODEL);
        let damaged = |what: &dyn std::fmt::Display| CheckpointError::Native {
            path: path.clone(),
            what: what.to_string(),
        };
        let record = ModuleRecord::load(&path).map_err(|error| damaged(&error))?;
        let model = empty.try_load_record(record);
        let model = model.map_err(|error| damaged(&error))?;
        if let Some(parameter) = not_finite(&model) {
            return Err(damaged(&format!(
                "{parameter} holds NaN or infinity, so the model computes nothing; convert it anew from a good checkpoint"
            )));
        }
        let biases = entries.iter();
        let biases = biases.filter(|(_, all)| all.iter().any(|entry| entry.is_choice_bias()));
        Ok(model.map(&mut Holder {
            precision,
            choice_biases: biases.map(|(name, _)| name.as_str()).collect(),
            path: ParameterPath::default(),
        }))
    }

    /// Writes a model of these files in the published layout.
    pub(super) fn publish<M: Module>(
        &self,
        model: &M,
        config_text: &[u8],
        entries: ByParameter,
        copies: Vec<TensorCopy>,
        target: &Path,
    ) -> Result<Carried, CheckpointError> {
        let tensors = self.kept()?.restore(collect(model, entries)?, copies)?;
        whole_folder(target, |folder| {
            write_files(folder, config_text, tensors)?;
            carry(&self.folder, folder)
        })
    }

    /// Error of converting these files to our own.
    pub(super) fn are_ours_already(&self) -> CheckpointError {
        let folder = self.folder.display();
        CheckpointError::NotPublishable(format!(
            "{folder} has our own files already; copy the folder"
        ))
    }
}

/// Puts parameters into the types of a precision.
struct Holder<'a> {
    precision: Precision,
    choice_biases: BTreeSet<&'a str>,
    path: ParameterPath,
}

impl ModuleMapper for Holder<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let is_choice_bias = self.choice_biases.contains(self.path.join().as_str());
        match held(self.precision, &self.path, D, is_choice_bias) {
            Some(dtype) => param.map(|tensor| {
                let tensor = tensor.cast(dtype);
                self.precision.hold(&self.path, tensor)
            }),
            None => param,
        }
    }
}

/// Writes our own files of a model with the text of its configuration, what `keep` writes beside, and the
/// small files of the folder that it is from.
pub(super) fn write_native<M: Module>(
    model: M,
    config_text: &[u8],
    [source, target]: [&Path; 2],
    keep: impl FnOnce(&Path) -> Result<(), CheckpointError>,
) -> Result<Carried, CheckpointError> {
    whole_folder(target, |folder| {
        let path = folder.join(CONFIG);
        write_new(&path, config_text).map_err(file_error("write", &path))?;
        keep(folder)?;
        let path = folder.join(MODEL);
        let record = model.into_record();
        record
            .save(&path)
            .map_err(|error| CheckpointError::Native {
                path,
                what: format!("it cannot be written: {error}"),
            })?;
        carry(source, folder)
    })
}
