//! The files of a checkpoint: `model.safetensors`, or shards with an index.

use super::CheckpointError;
use super::index::read_index;
use super::tensor_file::{StoredTensor, TensorFile};
use crate::gguf::is_gguf;
use safetensors::Dtype;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const SINGLE: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// The tensors of a published checkpoint.
#[derive(Debug)]
pub struct TensorFiles {
    folder: PathBuf,
    files: Vec<TensorFile>,
    /// Index of the file that each tensor is in.
    places: HashMap<String, usize>,
}

impl TensorFiles {
    /// Opens the files of a folder, or a GGUF file, and checks their headers.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file if one is missing, not whole or not in the format, and if
    /// an index does not agree with its shards or points outside the folder.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
        if index.is_file() {
            return Self::sharded(folder, &index);
        }
        let single = if is_gguf(folder) {
            folder.to_owned()
        } else {
            single
        };
        if !single.is_file() {
            return Err(CheckpointError::NoTensors(folder.to_owned()));
        }
        let file = TensorFile::open(&single)?;
        let places = file.names().map(|name| (name.to_owned(), 0)).collect();
        Ok(Self {
            folder: single,
            files: vec![file],
            places,
        })
    }

    fn sharded(folder: &Path, index: &Path) -> Result<Self, CheckpointError> {
        let mut files = Vec::new();
        let mut places = HashMap::new();
        for (shard, names) in read_index(folder, index)? {
            let file = TensorFile::open(&shard)?;
            for tensor in names {
                if file.get(&tensor).is_none() {
                    let name = shard.file_name().unwrap_or_default().to_string_lossy();
                    return Err(CheckpointError::Index {
                        path: index.to_owned(),
                        what: format!(
                            "it places the tensor {tensor} in {name}, which has none of that name"
                        ),
                    });
                }
                places.insert(tensor, files.len());
            }
            if let Some(tensor) = file
                .names()
                .find(|name| places.get(*name) != Some(&files.len()))
            {
                return Err(CheckpointError::Index {
                    path: index.to_owned(),
                    what: format!(
                        "it does not place the tensor {tensor} of {} there",
                        shard.display()
                    ),
                });
            }
            files.push(file);
        }
        Ok(Self {
            folder: folder.to_owned(),
            files,
            places,
        })
    }

    /// The file, or the folder of several.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Tells whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The names of all tensors, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.places.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Tells whether a tensor is FP8.
    pub(super) fn has_fp8(&self) -> bool {
        let mut tensors = self.files.iter().flat_map(TensorFile::tensors);
        tensors.any(|(_, stored)| stored.info.dtype == Dtype::F8_E4M3)
    }

    pub(super) fn get(&self, name: &str) -> Option<StoredTensor<'_>> {
        self.files[*self.places.get(name)?].get(name)
    }
}
