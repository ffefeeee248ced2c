//! Data: text here, images in [`images`], pairs of texts in [`pairs`].
//!
//! Text: domains of text, vocabularies, training and evaluation windows, all exactly repeatable.
//!
//! ```text
//! Corpus --split--> train / validation / test --Vocab--> TextData --Sampler-----> Batch
//!                                                            `-----EvalWindows--> EvalBatch
//! ```
//!
//! A [`Corpus`] is a list of domains, a domain a list of files. Each file is split by position, the
//! vocabulary is learned from the train parts alone, and the domain of every window stays with it
//! as a label: it shows which experts a domain goes to.

mod batch;
mod bpe;
mod byte_level;
mod config;
mod corpus;
mod dataset;
mod error;
mod eval;
mod fingerprint;
mod formats;
pub mod images;
pub mod pairs;
mod read;
mod sampler;
mod split;
mod stream;
mod summary;
mod table;
mod tensors;
mod text;
mod tokens;
mod unigram;
mod vocab;
mod zstd;

pub use batch::*;
pub use bpe::*;
pub use config::DataConfig;
pub use corpus::*;
pub use dataset::*;
pub use error::*;
pub use eval::*;
pub use images::{
    ImageBatch, ImageBatches, ImageConfig, ImageData, ImageError, ImageName, ImageSummary,
};
pub use pairs::{PairBatch, PairBatches, PairConfig, PairData, PairError, PairName};
pub use sampler::*;
pub use split::*;
pub use stream::*;
pub use summary::*;
pub use table::TableError;
pub use tensors::*;
pub use tokens::Tokens;
pub use unigram::UnigramVocab;
pub use vocab::*;

#[cfg(test)]
mod fuzz;

#[cfg(test)]
use dataset::test_data;
