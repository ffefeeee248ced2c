//! Checkpoints in the published layouts: safetensors files with a `config.json`.

mod any;
mod copied;
mod deepseek;
mod entry;
mod error;
mod files;
mod folder;
mod header;
mod index;
mod kept;
mod layout;
mod load;
mod mapped;
mod mixtral;
mod model_folder;
mod named;
mod native;
mod published_values;
mod released;
mod source;
mod stored;
mod switch;
mod tokenizer;
mod values;
mod vmoe;
mod write;

pub use any::{AnyCheckpoint, AnyNative};
pub use entry::{Entry, Fused};
pub use error::CheckpointError;
pub use files::TensorFiles;
pub use folder::PublishedCheckpoint;
pub use layout::{ByParameter, Layout, TensorCopy};
pub use load::Precision;
pub use model_folder::{
    ModelFolder, NativeFolder, NativeSwitch, NativeVmoe, PublishedFamily, SwitchCheckpoint,
    VmoeCheckpoint,
};
pub use named::{HostTensor, HostValues, read_tensors};
pub use native::{NativeCheckpoint, from_native, is_native, to_native};
pub use published_values::{PublishedTensor, each_gradient, each_parameter};
pub use released::ReleasedVmoe;
pub use tokenizer::{PublishedTokenizer, TokenStream};
pub use values::e4m3_table;
pub use write::{check_target, write_published};
