//! Checkpoints of any kind.

use super::{Carried, CheckpointError, PublishedCheckpoint, SwitchCheckpoint, VmoeCheckpoint};
use crate::published::{PublishedSwitch, PublishedVmoe, config_file, model_type};
use burn::tensor::Device;
use std::path::Path;

/// A published checkpoint of any kind, in either layout, told apart by `model_type` or `model` in its `config.json`.
#[allow(clippy::large_enum_variant)] // one of them a command
#[derive(Debug)]
pub enum AnyCheckpoint {
    /// A decoder.
    Text(PublishedCheckpoint),
    /// An encoder and a decoder: the Switch Transformer.
    Pairs(SwitchCheckpoint),
    /// A vision transformer: V-MoE or Soft-MoE.
    Images(VmoeCheckpoint),
}

impl AnyCheckpoint {
    /// Opens a folder, or a GGUF file, as the kind that it is of.
    ///
    /// # Errors
    ///
    /// As [`PublishedCheckpoint::open`].
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        match model_type(&config_file(folder))?.as_str() {
            PublishedSwitch::MODEL_TYPE => SwitchCheckpoint::open(folder).map(Self::Pairs),
            PublishedVmoe::MODEL => VmoeCheckpoint::open(folder).map(Self::Images),
            _ => PublishedCheckpoint::open(folder).map(Self::Text),
        }
    }

    /// The fields of `config.json` that are not read, and not known to be without effect.
    pub fn unread(&self) -> &[String] {
        match self {
            Self::Text(checkpoint) => &checkpoint.config().common().unread,
            Self::Pairs(checkpoint) => &checkpoint.config().unread,
            Self::Images(checkpoint) => &checkpoint.config().unread,
        }
    }

    /// Writes the checkpoint anew to a folder: one file, a tensor for each expert. Of a published
    /// checkpoint no tensor is in memory, of our own files all are.
    ///
    /// # Errors
    ///
    /// As [`PublishedCheckpoint::rewrite`].
    pub fn rewrite(&self, folder: &Path, device: &Device) -> Result<Carried, CheckpointError> {
        match self {
            Self::Text(checkpoint) => checkpoint.rewrite(folder, device),
            Self::Pairs(checkpoint) => checkpoint.rewrite(folder, device),
            Self::Images(checkpoint) => checkpoint.rewrite(folder, device),
        }
    }

    /// Converts the checkpoint to our own files; the whole model is in memory.
    ///
    /// # Errors
    ///
    /// As [`PublishedCheckpoint::to_native`].
    pub fn to_native(&self, target: &Path, device: &Device) -> Result<Carried, CheckpointError> {
        match self {
            Self::Text(checkpoint) => checkpoint.to_native(target, device),
            Self::Pairs(checkpoint) => checkpoint.to_native(target, device),
            Self::Images(checkpoint) => checkpoint.to_native(target, device),
        }
    }
}
