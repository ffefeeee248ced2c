use super::files::TensorFiles;
use super::load::{Precision, fill};
use super::stored::Stored;
use super::switch::SwitchLayout;
use super::write::{collect, whole_folder, write_files};
use super::{CheckpointError, Entry, error::file_error, source};
use crate::published::PublishedSwitch;
use crate::switch::Switch;
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
        let router = self.config.router();
        let model = self
            .config
            .model()
            .init(|shape| router.init(shape, device), device);
        fill(model, &self.files, self.layout().by_parameter(), precision)
    }

    /// Writes the checkpoint anew to a folder: one file, each tensor in the type that it is stored in,
    /// copies of a table that are there included.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if `folder` exists or cannot be written; nothing is left behind
    /// then.
    pub fn rewrite(&self, folder: &Path) -> Result<(), CheckpointError> {
        let mut tensors = Vec::new();
        for entry in self.all_entries() {
            let matrix = source::matrix(&self.files, &entry)?;
            tensors.push((entry.name.clone(), Stored { entry, matrix }));
        }
        let text = self.config_text()?;
        whole_folder(folder, |folder| write_files(folder, &text, tensors))
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
        let text = self.config_text()?;
        whole_folder(folder, |folder| write_files(folder, &text, tensors))
    }

    fn config_text(&self) -> Result<Vec<u8>, CheckpointError> {
        let path = self.folder.join("config.json");
        fs::read(&path).map_err(file_error("read", &path))
    }

    fn all_entries(&self) -> impl Iterator<Item = Entry> {
        self.layout().entries().chain(self.present_copies())
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
