//! A safetensors file in memory, its header read and its data mapped.

use super::CheckpointError;
use super::error::file_error;
use super::header::Header;
use crate::disk::open_regular;
use memmap2::{Mmap, MmapOptions};
use safetensors::tensor::TensorInfo;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A mapped file and where its tensors lie.
#[derive(Debug)]
pub(super) struct MappedFile {
    pub(super) path: PathBuf,
    data: Mmap,
    header: Header,
}

impl MappedFile {
    /// Reads the header of a file and checks it: its length against the file's, and each tensor's place
    /// and size against its shape and its neighbours. Then maps the data.
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = open_regular(path).map_err(file_error("read", path))?;
        let metadata = file.metadata().map_err(file_error("read", path))?;
        let length = metadata.len();
        let header = Header::read(&file, length).map_err(|source| CheckpointError::Damaged {
            path: path.to_owned(),
            source,
        })?;
        let n_bytes = length - header.data_start;
        Ok(Self {
            path: path.to_owned(),
            data: map(&file, header.data_start, n_bytes).map_err(file_error("read", path))?,
            header,
        })
    }

    /// The names of the tensors, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.header.tensors.keys().map(String::as_str)
    }

    pub(super) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.header.tensors.get(name)
    }

    /// The tensors, in no order.
    pub(super) fn infos(&self) -> impl Iterator<Item = &TensorInfo> {
        self.header.tensors.values()
    }

    /// The bytes of a tensor of this file.
    pub(super) fn bytes(&self, info: &TensorInfo) -> &[u8] {
        let (start, end) = info.data_offsets;
        &self.data[start..end]
    }
}

#[allow(unsafe_code)]
fn map(file: &File, start: u64, n_bytes: u64) -> std::io::Result<Mmap> {
    let mut options = MmapOptions::new();
    options.offset(start).len(n_bytes as usize);
    // SAFETY: the map is read only and holds numbers alone, for which all bit patterns are valid: no
    // length, offset or text is read from it. What cannot be ensured is assumed: that nobody writes to
    // the file while it is mapped. Rust leaves undefined what happens otherwise; in practice the values
    // are others, and a file that is cut short ends this process with a bus error.
    unsafe { options.map(file) }
}
