//! Checkpoints in the published layouts: safetensors files with a `config.json`.

mod copied;
mod deepseek;
mod entry;
mod error;
mod files;
mod folder;
mod header;
mod index;
mod layout;
mod load;
mod mapped;
mod mixtral;
mod named;
mod native;
mod path;
mod published_values;
mod source;
mod stored;
mod tokenizer;
mod values;
mod write;

pub use entry::{Entry, Fused};
pub use error::CheckpointError;
pub use files::TensorFiles;
pub use folder::PublishedCheckpoint;
pub use layout::{ByParameter, Layout, TensorCopy};
pub use load::Precision;
pub use named::{HostTensor, HostValues, read_tensors};
pub use native::{NativeCheckpoint, from_native, is_native, to_native};
pub use published_values::{PublishedTensor, each_gradient, each_parameter};
pub use tokenizer::{PublishedTokenizer, TokenStream};
pub use values::e4m3_table;
pub use write::{check_target, write_published};
