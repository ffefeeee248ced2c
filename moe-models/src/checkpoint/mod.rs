//! Checkpoints in the published layouts: safetensors files with a `config.json`.

mod deepseek;
mod entry;
mod error;
mod files;
mod folder;
mod index;
mod layout;
mod load;
mod mapped;
mod mixtral;
mod named;
mod path;
mod published_values;
mod source;
mod values;

pub use entry::{Entry, Fused};
pub use error::CheckpointError;
pub use files::TensorFiles;
pub use folder::PublishedCheckpoint;
pub use layout::{ByParameter, Layout, TensorCopy};
pub use load::Precision;
pub use named::{HostTensor, HostValues, read_tensors};
pub use published_values::{PublishedTensor, each_gradient, each_parameter};
