//! Folders of the families whose configuration alone says which tensors a model has.

use super::copied::copied_config;
use super::files::TensorFiles;
use super::kept::Kept;
use super::layout::{ByParameter, TensorCopy, grouped};
use super::load::{Precision, fill};
use super::native::{load_record, read_record, write_native};
use super::stored::stored_tensors;
use super::write::{collect, whole_folder, write_files};
use super::{CheckpointError, Entry, error::file_error, source};
use crate::published::{PublishedError, PublishedSwitch, PublishedVmoe};
use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::Device;
use std::fs;
use std::path::{Path, PathBuf};

/// A published configuration that stands for a model and its tensors.
pub trait PublishedFamily: Sized {
    /// The model.
    type Model: Module;

    /// Reads a `config.json`.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file and the key.
    fn read(path: &Path) -> Result<Self, PublishedError>;

    /// The model, of which no parameter is drawn yet.
    fn empty(&self, device: &Device) -> Self::Model;

    /// The published tensors and their places in the model, made one by one.
    fn entries(&self) -> impl Iterator<Item = Entry>;

    /// The tensors that may be there besides and are then checked.
    fn copies(&self) -> Vec<TensorCopy>;

    /// The entries by our parameters.
    fn by_parameter(&self) -> ByParameter {
        grouped(self.entries())
    }
}

/// A published model: a folder with `config.json` and its tensors in safetensors files.
#[derive(Debug)]
pub struct ModelFolder<P> {
    folder: PathBuf,
    config: P,
    files: TensorFiles,
}

/// A published Switch model.
pub type SwitchCheckpoint = ModelFolder<PublishedSwitch>;

/// A published vision model.
pub type VmoeCheckpoint = ModelFolder<PublishedVmoe>;

impl<P: PublishedFamily> ModelFolder<P> {
    /// Reads the configuration, maps the files, and checks that they hold the model's tensors and
    /// nothing else, and that tables which are one are equal. No tensor is read yet.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, and the tensor if it is about one.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let config = P::read(&folder.join("config.json"))?;
        let files = TensorFiles::open(folder)?;
        source::check_tensors(&files, config.entries(), config.copies())?;
        Ok(Self {
            folder: folder.to_owned(),
            config,
            files,
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The published configuration.
    pub fn config(&self) -> &P {
        &self.config
    }

    /// Reads the model, one parameter at a time: at most one parameter is in memory besides it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn load(&self, precision: Precision, device: &Device) -> Result<P::Model, CheckpointError> {
        let model = self.config.empty(device);
        fill(model, &self.files, self.config.by_parameter(), precision)
    }

    /// Writes the checkpoint anew to a folder: one file, each tensor with the bytes that it is stored in,
    /// copies of a table that are there included.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if `folder` exists or cannot be written; nothing is left behind
    /// then.
    pub fn rewrite(&self, folder: &Path) -> Result<(), CheckpointError> {
        let config = &self.config;
        let tensors = stored_tensors(&self.files, config.entries(), config.copies())?;
        let text = copied_config(&self.folder, None, self.files.has_fp8())?;
        whole_folder(folder, |folder| write_files(folder, &text, tensors))
    }

    /// Converts the checkpoint to our own files, each tensor in the type that it is stored in; FP8
    /// becomes f32, and what the way back needs is kept in a file beside. The whole model is in memory.
    ///
    /// # Errors
    ///
    /// As [`rewrite`](Self::rewrite).
    pub fn to_native(&self, target: &Path, device: &Device) -> Result<(), CheckpointError> {
        let model = self.load(Precision::Stored, &device.clone().without_autodiff())?;
        let text = copied_config(&self.folder, None, self.files.has_fp8())?;
        let config = &self.config;
        write_native(model, &text, target, |folder| {
            Kept::write(&self.files, config.entries(), config.copies(), folder)
        })
    }

    /// Writes a model of this configuration to a new folder: `config.json` as it is, and
    /// `model.safetensors` with every tensor by its published name, each in the type that it is held in.
    ///
    /// # Errors
    ///
    /// Returns an error if `folder` exists or cannot be written; nothing is left behind then.
    pub fn write(&self, model: &P::Model, folder: &Path) -> Result<(), CheckpointError> {
        let mut entries = self.config.by_parameter();
        for copy in self.present_copies() {
            entries
                .entry(copy.parameter.clone())
                .or_default()
                .push(copy);
        }
        let tensors = collect(model, entries)?;
        let path = self.folder.join("config.json");
        let text = fs::read(&path).map_err(file_error("read", &path))?;
        whole_folder(folder, |folder| write_files(folder, &text, tensors))
    }

    /// The copies of a table that the files have, as entries of the table's parameter.
    fn present_copies(&self) -> Vec<Entry> {
        let copies = self.config.copies().into_iter();
        let present = copies.filter(|copy| self.files.get(&copy.name).is_some());
        present
            .filter_map(|copy| {
                let mut entries = self.config.entries();
                let original = entries.find(|entry| entry.name == copy.original)?;
                Some(Entry {
                    name: copy.name,
                    ..original
                })
            })
            .collect()
    }
}

/// Our own files of a published model.
pub struct NativeFolder<P> {
    folder: PathBuf,
    config: P,
    record: ModuleRecord,
    kept: Kept,
}

/// Our own files of a published Switch model.
pub type NativeSwitch = NativeFolder<PublishedSwitch>;

/// Our own files of a published vision model.
pub type NativeVmoe = NativeFolder<PublishedVmoe>;

impl<P: PublishedFamily> NativeFolder<P> {
    /// Reads the files; the tensors are compared with the configuration when a model is made of them.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is damaged, or if the sizes of the configuration do not fit together.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        Ok(Self {
            folder: folder.to_owned(),
            config: P::read(&folder.join("config.json"))?,
            record: read_record(folder)?,
            kept: Kept::read(folder)?,
        })
    }

    /// Writes the model in the published layout; all of it is in memory.
    ///
    /// # Errors
    ///
    /// Returns an error if the files do not belong together, or if `target` exists or cannot be written;
    /// nothing is left behind then.
    pub fn publish(self, target: &Path, device: &Device) -> Result<(), CheckpointError> {
        let text = copied_config(&self.folder, None, self.kept.has_scales())?;
        let model = self.config.empty(&device.clone().without_autodiff());
        let model = load_record(model, self.record, &self.folder)?;
        let tensors = collect(&model, self.config.by_parameter())?;
        let tensors = self.kept.restore(tensors, self.config.copies())?;
        whole_folder(target, |folder| write_files(folder, &text, tensors))
    }
}
