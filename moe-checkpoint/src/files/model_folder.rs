//! Folders of the families whose configuration alone says which tensors a model has.

use super::carried::Carried;
use super::conversion::{self, Convertible, Tensors};
use super::copied::copied_config;
use super::layout::{ByParameter, TensorCopy, grouped};
use super::load::Precision;
use super::native::{NativeFiles, is_native};
use super::tensor_files::TensorFiles;
use super::write::{collect, whole_folder, write_files};
use super::{CheckpointError, Entry, error::file_error, source};
use crate::disk::{MOST_TEXT, read_at_most};
use crate::published::{PublishedError, PublishedSwitch, PublishedVmoe, ends};
use burn::module::Module;
use burn::tensor::Device;
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

/// A published model: a folder with `config.json` and its tensors, in safetensors files or in our own
/// layout.
#[derive(Debug)]
pub struct ModelFolder<P> {
    folder: PathBuf,
    config: P,
    tensors: Tensors,
}

/// A published Switch model.
pub type SwitchCheckpoint = ModelFolder<PublishedSwitch>;

/// A published vision model.
pub type VmoeCheckpoint = ModelFolder<PublishedVmoe>;

impl<P: PublishedFamily> ModelFolder<P> {
    /// Reads the configuration, opens the files, and checks that they hold the model's tensors and
    /// nothing else, and that tables which are one are equal. No tensor is read yet.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, and the tensor if it is about one.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let config = P::read(&folder.join("config.json"))?;
        let tensors = if is_native(folder) {
            Tensors::Native(NativeFiles::open(folder)?)
        } else {
            let files = TensorFiles::open(folder)?;
            source::check_tensors(&files, config.entries(), config.copies())?;
            Tensors::Published(files)
        };
        Ok(Self {
            folder: folder.to_owned(),
            config,
            tensors,
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
        conversion::load(self, precision, device)
    }

    /// Writes the checkpoint anew to a folder: one file, each tensor with the bytes that it is stored in,
    /// copies of a table that are there included, and small files beside it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if `folder` exists or cannot be written; nothing is left behind
    /// then.
    pub fn rewrite(&self, folder: &Path, device: &Device) -> Result<Carried, CheckpointError> {
        conversion::rewrite(self, folder, device)
    }

    /// Converts the checkpoint to our own files, each tensor in the type that it is stored in; FP8
    /// becomes f32, and what the way back needs is kept in a file beside. The whole model is in memory.
    ///
    /// # Errors
    ///
    /// As [`rewrite`](Self::rewrite), and if the files are our own already.
    pub fn to_native(&self, target: &Path, device: &Device) -> Result<Carried, CheckpointError> {
        conversion::to_native(self, target, device)
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
        let text = read_at_most(&path, MOST_TEXT).map_err(file_error("read", &path))?;
        whole_folder(folder, |folder| write_files(folder, &text, tensors))
    }

    /// The copies of a table that the files have, as entries of the table's parameter.
    fn present_copies(&self) -> Vec<Entry> {
        let Tensors::Published(files) = &self.tensors else {
            return Vec::new();
        };
        let copies = self.config.copies().into_iter();
        let present = copies.filter(|copy| files.get(&copy.name).is_some());
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

impl<P: PublishedFamily> Convertible for ModelFolder<P> {
    type Model = P::Model;

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    fn empty(&self, device: &Device) -> P::Model {
        self.config.empty(device)
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.config.entries()
    }

    fn copies(&self) -> Vec<TensorCopy> {
        self.config.copies()
    }

    fn config_text(&self, is_fp8: bool) -> Result<Vec<u8>, CheckpointError> {
        copied_config(&self.folder, None, is_fp8)
    }
}

impl SwitchCheckpoint {
    /// The ids that end a text.
    ///
    /// # Errors
    ///
    /// Returns an error if there is a `generation_config.json` that cannot be read or understood.
    pub fn ends(&self) -> Result<Vec<u32>, CheckpointError> {
        Ok(ends(&self.folder, &self.config.eos_token_ids)?)
    }
}
