use super::copied::copied_config;
use super::files::TensorFiles;
use super::kept::Kept;
use super::load::{Precision, fill};
use super::native::{load_record, read_record, write_native};
use super::stored::stored_tensors;
use super::switch::SwitchLayout;
use super::write::{collect, whole_folder, write_files};
use super::{CheckpointError, Entry, error::file_error, source};
use crate::published::PublishedSwitch;
use crate::switch::Switch;
use burn::store::ModuleRecord;
use burn::tensor::Device;
use std::fs;
use std::path::{Path, PathBuf};

/// A published Switch model: a folder with `config.json` and its tensors in safetensors files.
#[derive(Debug)]
pub struct SwitchCheckpoint {
    folder: PathBuf,
    config: PublishedSwitch,
    files: TensorFiles,
}

impl SwitchCheckpoint {
    /// Reads the configuration, maps the files, and checks that they hold the model's tensors and
    /// nothing else, and that tables which are one are equal. No tensor is read yet.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, and the tensor if it is about one.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let config = PublishedSwitch::read(&folder.join("config.json"))?;
        let files = TensorFiles::open(folder)?;
        let layout = SwitchLayout::new(&config);
        source::check_tensors(&files, layout.entries(), layout.copies())?;
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
    pub fn config(&self) -> &PublishedSwitch {
        &self.config
    }

    /// The published tensors and their places in the model.
    pub fn layout(&self) -> SwitchLayout<'_> {
        SwitchLayout::new(&self.config)
    }

    /// Reads the model, one parameter at a time: at most one parameter is in memory besides it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn load(&self, precision: Precision, device: &Device) -> Result<Switch, CheckpointError> {
        let model = empty(&self.config, device);
        fill(model, &self.files, self.layout().by_parameter(), precision)
    }

    /// Writes the checkpoint anew to a folder: one file, each tensor with the bytes that it is stored in,
    /// copies of a table that are there included.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if `folder` exists or cannot be written; nothing is left behind
    /// then.
    pub fn rewrite(&self, folder: &Path) -> Result<(), CheckpointError> {
        let layout = self.layout();
        let tensors = stored_tensors(&self.files, layout.entries(), layout.copies())?;
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
        let layout = self.layout();
        write_native(model, &text, target, |folder| {
            Kept::write(&self.files, layout.entries(), layout.copies(), folder)
        })
    }

    /// Writes a model of this configuration to a new folder: `config.json` as it is, and
    /// `model.safetensors` with every tensor by its published name, each in the type that it is held in.
    ///
    /// # Errors
    ///
    /// Returns an error if `folder` exists or cannot be written; nothing is left behind then.
    pub fn write(&self, model: &Switch, folder: &Path) -> Result<(), CheckpointError> {
        let mut entries = self.layout().by_parameter();
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
        let copies = self.layout().copies().into_iter();
        let present = copies.filter(|copy| self.files.get(&copy.name).is_some());
        present
            .filter_map(|copy| {
                let mut entries = self.layout().entries();
                let original = entries.find(|entry| entry.name == copy.original)?;
                Some(Entry {
                    name: copy.name,
                    ..original
                })
            })
            .collect()
    }
}

/// Our own files of a published Switch model.
pub struct NativeSwitch {
    folder: PathBuf,
    config: PublishedSwitch,
    record: ModuleRecord,
    kept: Kept,
}

impl NativeSwitch {
    /// Reads the files; the tensors are compared with the configuration when a model is made of them.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is damaged, or if the sizes of the configuration do not fit together.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        Ok(Self {
            folder: folder.to_owned(),
            config: PublishedSwitch::read(&folder.join("config.json"))?,
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
        let model = empty(&self.config, &device.clone().without_autodiff());
        let model: Switch = load_record(model, self.record, &self.folder)?;
        let layout = SwitchLayout::new(&self.config);
        let tensors = collect(&model, layout.by_parameter())?;
        let tensors = self.kept.restore(tensors, layout.copies())?;
        whole_folder(target, |folder| write_files(folder, &text, tensors))
    }
}

/// A model of a configuration, of which no parameter is drawn yet.
fn empty(config: &PublishedSwitch, device: &Device) -> Switch {
    let router = config.router();
    let model = config.model();
    model.init(|shape| router.init(shape, device), device)
}
