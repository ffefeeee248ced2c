//! A safetensors file in memory, mapped rather than read.

use super::CheckpointError;
use super::error::file_error;
use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::TensorInfo;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A mapped file and where its tensors lie.
#[derive(Debug)]
pub(super) struct MappedFile {
    pub(super) path: PathBuf,
    map: Mmap,
    data_start: usize,
    tensors: HashMap<String, TensorInfo>,
}

impl MappedFile {
    /// Maps a file and checks its header: its length against the file's, and each tensor's place and
    /// size against its shape and its neighbours.
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let map = map(path).map_err(file_error("read", path))?;
        let (header, metadata) =
            SafeTensors::read_metadata(&map).map_err(|source| CheckpointError::Damaged {
                path: path.to_owned(),
                source,
            })?;
        let tensors = metadata.tensors();
        let tensors = tensors.into_iter().map(|(name, info)| (name, info.clone()));
        Ok(Self {
            path: path.to_owned(),
            data_start: header + 8, // the header's length comes first, in 8 bytes
            tensors: tensors.collect(),
            map,
        })
    }

    /// The names of the tensors, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(super) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// The bytes of a tensor of this file.
    pub(super) fn bytes(&self, info: &TensorInfo) -> &[u8] {
        let (start, end) = info.data_offsets;
        &self.map[self.data_start + start..self.data_start + end]
    }
}

#[allow(unsafe_code)]
fn map(path: &Path) -> std::io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the map is read only, and every value read from it is a number for which all bit
    // patterns are valid. A file that another process cuts short while it is mapped ends this process
    // with a bus error, as with every program that maps its weights.
    unsafe { Mmap::map(&file) }
}
