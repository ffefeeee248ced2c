use super::{CheckpointError, PublishedCheckpoint, SwitchCheckpoint, VmoeCheckpoint};
use crate::published::{PublishedSwitch, PublishedVmoe, model_type};
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
}
