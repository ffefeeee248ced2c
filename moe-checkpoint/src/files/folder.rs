//! The folder of a published decoder.

use super::carried::Carried;
use super::conversion::{self, Convertible, Tensors};
use super::copied::copied_config;
use super::layout::{Layout, TensorCopy};
use super::load::Precision;
use super::native::{NativeFiles, is_native};
use super::published_values::each_parameter;
use super::tensor_files::TensorFiles;
use super::{CheckpointError, Entry, source};
use crate::published::{
    PublishedConfig, PublishedDeepSeek, PublishedModel, config_file, ends, in_words_of,
};
use burn::tensor::Device;
use moe_models::AnyDecoder;
use std::path::{Path, PathBuf};

/// A published checkpoint: a folder with `config.json` and its tensors, in safetensors files or in our own
/// layout.
#[derive(Debug)]
pub struct PublishedCheckpoint {
    folder: PathBuf,
    config: PublishedConfig,
    model: PublishedModel,
    tensors: Tensors,
    ends: Vec<u32>,
}

impl PublishedCheckpoint {
    /// Reads the configuration, opens the files, and checks that they hold the model's tensors and
    /// nothing else. No tensor is read yet.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file, and the tensor if it is about one.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let path = config_file(folder);
        let mut config = PublishedConfig::read(&path)?;
        let tensors = if is_native(folder) {
            Tensors::Native(NativeFiles::open(folder)?)
        } else {
            Tensors::Published(TensorFiles::open(folder)?)
        };
        if let (PublishedConfig::DeepSeek(published), Tensors::Published(files)) =
            (&mut config, &tensors)
        {
            leave_out_missing_modules(published, files);
        }
        let model = described(&config, path)?;
        if let Tensors::Published(files) = &tensors {
            source::check(files, &Layout::new(&config))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            ends: ends(folder, &config.common().eos_token_ids)?,
            config,
            model,
            tensors,
        })
    }

    /// Tells whether a path looks like a published checkpoint: a folder with `config.json`, or a GGUF file.
    pub fn is_at(path: &Path) -> bool {
        config_file(path).is_file()
    }

    /// The folder, or the GGUF file.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The published configuration.
    pub fn config(&self) -> &PublishedConfig {
        &self.config
    }

    /// The ids that end a text.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The decoder and the router that it describes.
    pub fn model(&self) -> &PublishedModel {
        &self.model
    }

    /// The published tensors and their places in the model.
    pub fn layout(&self) -> Layout<'_> {
        Layout::new(&self.config)
    }

    /// Reads one tensor by its published name in f32, in the published order; none if the model has no
    /// such tensor.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Option<Vec<f32>>, CheckpointError> {
        let Some(entry) = self.layout().entries().find(|entry| entry.name == name) else {
            return Ok(None);
        };
        match &self.tensors {
            Tensors::Published(files) => Ok(Some(source::place(files, &entry)?.read()?.values())),
            Tensors::Native(_) => {
                let mut found = None;
                let model = self.load(Precision::F32, device)?;
                each_parameter(&model, &self.layout().by_parameter(), |tensor| {
                    if tensor.entry.name == name {
                        found = Some(tensor.values);
                    }
                });
                Ok(found)
            }
        }
    }

    /// Writes the checkpoint anew to a folder: one file, a tensor for each expert, each with the bytes that
    /// it is stored in, FP8 with its scales, and small files beside it. Of a published checkpoint no tensor
    /// is in memory, of our own files all are.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if `folder` exists or cannot be written; nothing is left behind then.
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

    /// Reads the model, one parameter at a time: at most one parameter is in memory besides it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if a tensor holds what is no number.
    pub fn load(
        &self,
        precision: Precision,
        device: &Device,
    ) -> Result<AnyDecoder, CheckpointError> {
        conversion::load(self, precision, device)
    }
}

impl Convertible for PublishedCheckpoint {
    type Model = AnyDecoder;

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    fn empty(&self, device: &Device) -> AnyDecoder {
        self.model.init(device)
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.layout().entries()
    }

    fn copies(&self) -> Vec<TensorCopy> {
        self.layout().copies()
    }

    fn config_text(&self, is_fp8: bool) -> Result<Vec<u8>, CheckpointError> {
        copied_config(&self.folder, Some(&self.config), is_fp8)
    }
}

/// The decoder and the router of a configuration at `path`, checked.
pub(super) fn described(
    config: &PublishedConfig,
    path: PathBuf,
) -> Result<PublishedModel, CheckpointError> {
    let model = config.model();
    match model.decoder.validate(&model.router) {
        Ok(()) => Ok(model),
        Err(error) => Err(CheckpointError::Model {
            path,
            what: in_words_of(config.model_type(), &error),
        }),
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
