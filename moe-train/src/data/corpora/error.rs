//! Errors of preparing a corpus, and of reading a prepared one.

use crate::data::Split;
use std::path::PathBuf;
use thiserror::Error;

/// An error of preparing a corpus or of reading it.
#[derive(Debug, Error)]
pub enum CorpusError {
    /// A package that is not in the folder of packages.
    #[error("`{path}` is not there; fetch it: {fetch}")]
    NotFetched {
        /// The place where it was looked for.
        path: PathBuf,
        /// The command that fetches it.
        fetch: &'static str,
    },
    /// A file with a package's name that is not the package.
    #[error(
        "`{path}` is cut off, damaged or another version (its SHA-256 is {found}); delete it and fetch it again: {fetch}"
    )]
    OtherArchive {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The command that fetches it.
        fetch: &'static str,
    },
    /// An archive that cannot be read to its end.
    #[error("`{path}`: {what}; the archive is cut off or damaged, fetch or make it again")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Fault of the archive.
        what: String,
    },
    /// An archive that holds more than is read.
    #[error("`{path}` holds {what}; give less of it, or unpack it and give the folder")]
    TooLarge {
        /// The archive.
        path: PathBuf,
        /// The limit in words.
        what: String,
    },
    /// A member of a package that is not laid out as its corpus is.
    #[error("`{path}`: {what}")]
    Layout {
        /// The archive with the member's name behind it.
        path: PathBuf,
        /// Fault of the member.
        what: String,
    },
    /// A table among texts.
    #[error(
        "`{path}` is a table; write each of its texts to a file of its own, or train on the table (data.path, data.column)"
    )]
    Table {
        /// The file.
        path: PathBuf,
    },
    /// Two sources of one name.
    #[error("two sources are called `{domain}`; leave one out, or rename a file or folder")]
    SameDomain {
        /// The name.
        domain: String,
    },
    /// A part of a domain without a document.
    #[error("none of the {documents} documents of `{domain}` is in its {part} part; {remedy}")]
    EmptyPart {
        /// The domain.
        domain: String,
        /// The part.
        part: Split,
        /// Documents of the domain.
        documents: usize,
        /// Remedy.
        remedy: String,
    },
    /// A folder that is not written.
    #[error("`{path}`: {what}")]
    Target {
        /// The folder.
        path: PathBuf,
        /// Reason.
        what: &'static str,
    },
    /// A manifest that cannot be read.
    #[error("`{path}`: {what}; prepare the corpus again (moe data prepare)")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Fault of the file.
        what: String,
    },
    /// A part that is not what the manifest says.
    #[error(
        "`{path}` is not what its corpus.json says; prepare the corpus again (moe data prepare)"
    )]
    Changed {
        /// The file of the part.
        path: PathBuf,
    },
    /// A prepared corpus below or beside other data, which would mix its parts.
    #[error(
        "`{path}` was made by `moe data prepare` and has parts of its own; give it alone as data.path"
    )]
    Nested {
        /// The folder of the corpus.
        path: PathBuf,
    },
}
