//! GGUF files (`docs/gguf.md` of ggml): the one file of a model as llama.cpp reads it, as the files of a published
//! checkpoint. Its values become the text of `config.json` and of `tokenizer.json`, its tensors those with published
//! names.

mod blocks;
mod config;
mod error;
mod file;
mod metadata;
mod names;
mod reader;
mod split;
mod tensors;
mod vocabulary;

pub use blocks::{
    BLOCK, BlockType, SUPER_BLOCK, decode_q4_0, decode_q4_1, decode_q4_k, decode_q6_k, decode_q8_0,
};
pub use error::GgufError;
pub(crate) use file::Gguf;
pub use file::is_gguf;
pub(crate) use tensors::Recipe;
