//! Domains of text, training and evaluation windows, all exactly repeatable.
//!
//! ```text
//! Corpus --split--> train / validation / test --Vocab--> TextData --Sampler-----> Batch
//!                                                            `-----EvalWindows--> EvalBatch
//! ```
//!
//! A [`Corpus`] is a list of domains, a domain a list of files. Each file is split by position, or a prepared
//! corpus brings its parts; the
//! vocabulary is learned from the train parts alone, and the domain of every window stays with it
//! as a label: it shows which experts a domain goes to.

mod batch;
mod config;
mod corpus;
mod dataset;
mod eval;
mod files;
mod formats;
mod prepared;
mod sampler;
mod stream;
mod summary;
mod table;
mod tensors;
mod tokens;

pub use batch::*;
pub use config::*;
pub use corpus::*;
pub use dataset::*;
pub use eval::*;
pub use sampler::*;
pub use stream::*;
pub use summary::*;
pub use table::{TableError, quoting_fault};
pub use tensors::*;
pub use tokens::Tokens;
pub(in crate::data) use {files::find_files, formats::table_kind};

#[cfg(test)]
pub(super) use dataset::test_data;
