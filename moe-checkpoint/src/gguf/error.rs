//! Errors of reading a GGUF file.

use crate::pointer::LFS_POINTER;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Reason why a GGUF file could not be read.
#[derive(Error, Debug)]
pub enum GgufError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A file that stands for another.
    #[error("{0} {LFS_POINTER}")]
    Pointer(PathBuf),
    /// A file that is not in the format, or not whole.
    #[error("{path} is damaged: {what}. Download it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Description of the fault.
        what: String,
    },
    /// A file that is whole and of a kind that is not read here.
    #[error("{path}: {what}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Description of what is not read, and of what to do.
        what: String,
    },
}

/// A fault before it is known which file has it.
#[derive(Debug)]
pub(super) enum Fault {
    File(io::Error),
    Pointer,
    Damaged(String),
    Unsupported(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl Fault {
    pub(super) fn at(self, path: &Path) -> GgufError {
        let path = path.to_owned();
        match self {
            Self::File(source) => GgufError::File { path, source },
            Self::Pointer => GgufError::Pointer(path),
            Self::Damaged(what) => GgufError::Damaged { path, what },
            Self::Unsupported(what) => GgufError::Unsupported { path, what },
        }
    }
}

pub(super) fn damaged<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Damaged(what.into()))
}

pub(super) fn unsupported<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Unsupported(what.into()))
}
