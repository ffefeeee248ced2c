use super::{
    CheckpointError, NativeCheckpoint, NativeSwitch, NativeVmoe, PublishedCheckpoint,
    SwitchCheckpoint, VmoeCheckpoint, to_native,
};
use crate::published::{PublishedSwitch, PublishedVmoe, model_type};
use burn::tensor::Device;
use std::path::Path;

/// A published checkpoint of any kind, told apart by `model_type` or `model` in its `config.json`.
#[allow(clippy::large_enum_variant)] // one of them a command
#[derive(Debug)]
pub enum AnyCheckpoint {
    /// A decoder.
    Decoder(PublishedCheckpoint),
    /// An encoder and a decoder: the Switch Transformer.
    Switch(SwitchCheckpoint),
    /// A vision transformer: V-MoE or Soft-MoE.
    Vmoe(VmoeCheckpoint),
}

impl AnyCheckpoint {
    /// Opens a folder as the kind that it is of.
    ///
    /// # Errors
    ///
    /// As [`PublishedCheckpoint::open`].
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        match model_type(&folder.join("config.json"))?.as_str() {
            PublishedSwitch::MODEL_TYPE => SwitchCheckpoint::open(folder).map(Self::Switch),
            PublishedVmoe::MODEL => VmoeCheckpoint::open(folder).map(Self::Vmoe),
            _ => PublishedCheckpoint::open(folder).map(Self::Decoder),
        }
    }
    /// Writes the checkpoint anew to a folder: one file, a tensor for each expert. No tensor is in memory.
    ///
    /// # Errors
    ///
    /// As [`PublishedCheckpoint::rewrite`].
    pub fn rewrite(&self, folder: &Path) -> Result<(), CheckpointError> {
        match self {
            Self::Decoder(checkpoint) => checkpoint.rewrite(folder),
            Self::Switch(checkpoint) => checkpoint.rewrite(folder),
            Self::Vmoe(checkpoint) => checkpoint.rewrite(folder),
        }
    }

    /// Converts the checkpoint to our own files; the whole model is in memory.
    ///
    /// # Errors
    ///
    /// As [`to_native`].
    pub fn to_native(&self, target: &Path, device: &Device) -> Result<(), CheckpointError> {
        match self {
            Self::Decoder(checkpoint) => to_native(checkpoint, target, device),
            Self::Switch(checkpoint) => checkpoint.to_native(target, device),
            Self::Vmoe(checkpoint) => checkpoint.to_native(target, device),
        }
    }
}

/// Our own files of a published model of any kind, told apart as those of [`AnyCheckpoint`].
#[allow(clippy::large_enum_variant)] // one of them a command
pub enum AnyNative {
    /// Of a decoder.
    Decoder(NativeCheckpoint),
    /// Of an encoder and a decoder.
    Switch(NativeSwitch),
    /// Of a vision transformer.
    Vmoe(NativeVmoe),
}

impl AnyNative {
    /// Opens a folder as the kind that it is of.
    ///
    /// # Errors
    ///
    /// As [`NativeCheckpoint::open`].
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        match model_type(&folder.join("config.json"))?.as_str() {
            PublishedSwitch::MODEL_TYPE => NativeSwitch::open(folder).map(Self::Switch),
            PublishedVmoe::MODEL => NativeVmoe::open(folder).map(Self::Vmoe),
            _ => NativeCheckpoint::open(folder).map(Self::Decoder),
        }
    }

    /// Writes the model in the published layout; all of it is in memory.
    ///
    /// # Errors
    ///
    /// As [`NativeCheckpoint::publish`].
    pub fn publish(self, target: &Path, device: &Device) -> Result<(), CheckpointError> {
        match self {
            Self::Decoder(native) => native.publish(target, device),
            Self::Switch(native) => native.publish(target, device),
            Self::Vmoe(native) => native.publish(target, device),
        }
    }
}
