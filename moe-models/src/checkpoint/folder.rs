use super::copied::copied_config;
use super::files::TensorFiles;
use super::layout::Layout;
use super::load::{Precision, fill};
use super::stored::stored_tensors;
use super::write::{whole_folder, write_files};
use super::{CheckpointError, source};
use crate::AnyDecoder;
use crate::published::{PublishedConfig, PublishedDeepSeek, PublishedModel};
use burn::tensor::Device;
use std::path::{Path, PathBuf};

/// A published checkpoint: a folder with `config.json` and its tensors in safetensors files.
#[derive(Debug)]
pub struct PublishedCheckpoint {
    folder: PathBuf,
    config: PublishedConfig,
    model: PublishedModel,
    files: TensorFiles,
}

impl PublishedCheckpoint {
    /// Reads the configuration, maps the files, and checks that they hold the model's tensors and
    /// nothing else. No tensor is read yet.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, and the tensor if it is about one.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join("config.json");
        let mut config = PublishedConfig::read(&path)?;
        let files = TensorFiles::open(folder)?;
        if let PublishedConfig::DeepSeek(published) = &mut config {
            leave_out_missing_modules(published, &files);
        }
        let model = described(&config, path)?;
        if let Some(layout) = Layout::new(&config) {
            source::check(&files, &layout)?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            config,
            model,
            files,
        })
    }

    /// Whether a path looks like a published checkpoint: a folder with `config.json`.
    pub fn is_at(path: &Path) -> bool {
        path.join("config.json").is_file()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The published configuration.
    pub fn config(&self) -> &PublishedConfig {
        &self.config
    }

    /// The decoder and the router that it describes.
    pub fn model(&self) -> &PublishedModel {
        &self.model
    }

    /// The files.
    pub fn files(&self) -> &TensorFiles {
        &self.files
    }

    /// The published tensors and their places in the model.
    pub fn layout(&self) -> Layout<'_> {
        Layout::new(&self.config).expect("a checkpoint of a family without a layout is not opened")
    }

    /// Reads one tensor by its published name in f32, in the published order; none if the model has no
    /// such tensor.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn tensor(&self, name: &str) -> Result<Option<Vec<f32>>, CheckpointError> {
        let Some(entry) = self.layout().entries().find(|entry| entry.name == name) else {
            return Ok(None);
        };
        let mut values = vec![0f32; entry.n_elements()];
        source::matrix(&self.files, &entry)?.write(&mut values, false);
        Ok(Some(values))
    }

    /// Writes the checkpoint anew to a folder: one file, a tensor for each expert, each with the bytes that
    /// it is stored in, FP8 with its scales. No tensor is in memory.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if `folder` exists or cannot be written; nothing is left behind then.
    pub fn rewrite(&self, folder: &Path) -> Result<(), CheckpointError> {
        let text = copied_config(&self.folder, Some(&self.config), self.files.has_fp8())?;
        let layout = self.layout();
        let tensors = stored_tensors(&self.files, layout.entries(), layout.copies())?;
        whole_folder(folder, |folder| write_files(folder, &text, tensors))
    }

    /// Reads the model, one parameter at a time: at most one parameter is in memory besides it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn load(
        &self,
        precision: Precision,
        device: &Device,
    ) -> Result<AnyDecoder, CheckpointError> {
        let model = self.model.init(device);
        fill(model, &self.files, self.layout().by_parameter(), precision)
    }
}

/// The decoder and the router of a configuration at `path`, checked.
pub(super) fn described(
    config: &PublishedConfig,
    path: PathBuf,
) -> Result<PublishedModel, CheckpointError> {
    let Some(model) = config.model() else {
        return Err(CheckpointError::CountedOnly {
            path,
            model_type: config.model_type(),
        });
    };
    match model.decoder.validate(&model.router) {
        Ok(()) => Ok(model),
        Err(source) => Err(CheckpointError::Model { path, source }),
    }
}

/// Reads a model whose files have nothing of the modules that predict further tokens as one without
/// them: many copies of such models leave them out.
fn leave_out_missing_modules(published: &mut PublishedDeepSeek, files: &TensorFiles) {
    let n_layers = published.common.num_hidden_layers;
    let layer = |name: &str| {
        let (layer, _) = name.strip_prefix("model.layers.")?.split_once('.')?;
        layer.parse::<usize>().ok()
    };
    let has_module = |name: &&str| layer(name).is_some_and(|layer| layer >= n_layers);
    if !files.names().iter().any(has_module) {
        published.num_nextn_predict_layers = 0;
    }
}
