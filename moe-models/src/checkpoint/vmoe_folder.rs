use super::copied::copied_config;
use super::files::TensorFiles;
use super::kept::Kept;
use super::load::{Precision, fill};
use super::native::{load_record, read_record, write_native};
use super::stored::stored_tensors;
use super::vmoe::VmoeLayout;
use super::write::{collect, whole_folder, write_files};
use super::{CheckpointError, error::file_error, source};
use crate::Vmoe;
use crate::published::PublishedVmoe;
use burn::store::ModuleRecord;
use burn::tensor::Device;
use std::fs;
use std::path::{Path, PathBuf};

/// A published vision model: a folder with `config.json` and its tensors in safetensors files.
#[derive(Debug)]
pub struct VmoeCheckpoint {
    folder: PathBuf,
    config: PublishedVmoe,
    files: TensorFiles,
}

impl VmoeCheckpoint {
    /// Reads the configuration, maps the files, and checks that they hold the model's tensors and
    /// nothing else. No tensor is read yet.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, and the tensor if it is about one.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let config = PublishedVmoe::read(&folder.join("config.json"))?;
        let files = TensorFiles::open(folder)?;
        source::check_tensors(&files, VmoeLayout::new(&config).entries(), Vec::new())?;
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
    pub fn config(&self) -> &PublishedVmoe {
        &self.config
    }

    /// The published tensors and their places in the model.
    pub fn layout(&self) -> VmoeLayout<'_> {
        VmoeLayout::new(&self.config)
    }

    /// Reads the model, one parameter at a time: at most one parameter is in memory besides it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn load(&self, precision: Precision, device: &Device) -> Result<Vmoe, CheckpointError> {
        let router = self.config.router();
        let model = self.config.model();
        let model = model.init(|shape| router.init(shape, device), device);
        fill(model, &self.files, self.layout().by_parameter(), precision)
    }

    /// Writes the checkpoint anew to a folder: one file, each tensor with the bytes that it is stored in.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if `folder` exists or cannot be written; nothing is left behind
    /// then.
    pub fn rewrite(&self, folder: &Path) -> Result<(), CheckpointError> {
        let tensors = stored_tensors(&self.files, self.layout().entries(), Vec::new())?;
        let text = copied_config(&self.folder, None, self.files.has_fp8())?;
        whole_folder(folder, |folder| write_files(folder, &text, tensors))
    }

    /// Writes a model of this configuration to a new folder: `config.json` as it is, and
    /// `model.safetensors` with every tensor by its published name, each in the type that it is held in.
    ///
    /// # Errors
    ///
    /// Returns an error if `folder` exists or cannot be written; nothing is left behind then.
    pub fn write(&self, model: &Vmoe, folder: &Path) -> Result<(), CheckpointError> {
        let tensors = collect(model, self.layout().by_parameter())?;
        let path = self.folder.join("config.json");
        let text = fs::read(&path).map_err(file_error("read", &path))?;
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
        write_native(model, &text, target, |folder| {
            Kept::write(&self.files, self.layout().entries(), Vec::new(), folder)
        })
    }
}

/// Our own files of a published vision model.
pub struct NativeVmoe {
    folder: PathBuf,
    config: PublishedVmoe,
    record: ModuleRecord,
    kept: Kept,
}

impl NativeVmoe {
    /// Reads both files; the tensors are compared with the configuration when a model is made of them.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is damaged, or if the sizes of the configuration do not fit together.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        Ok(Self {
            folder: folder.to_owned(),
            config: PublishedVmoe::read(&folder.join("config.json"))?,
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
        let device = device.clone().without_autodiff();
        let router = self.config.router();
        let model = self.config.model();
        let model = model.init(|shape| router.init(shape, &device), &device);
        let model: Vmoe = load_record(model, self.record, &self.folder)?;
        let tensors = collect(&model, VmoeLayout::new(&self.config).by_parameter())?;
        let tensors = self.kept.restore(tensors, Vec::new())?;
        whole_folder(target, |folder| write_files(folder, &text, tensors))
    }
}
