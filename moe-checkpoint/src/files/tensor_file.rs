//! A safetensors or GGUF file, its header read and its tensors read when they are asked for.
//!
//! Files are read and not mapped: one that is cut short while it is mapped ends the process with a bus
//! error, and here it is an error that names the file.

use super::CheckpointError;
use super::error::file_error;
use super::header::Header;
use crate::disk::open_regular;
use crate::gguf::{Gguf, Recipe, is_gguf};
use crate::pointer::LFS_PREFIX;
use safetensors::tensor::TensorInfo;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// An open file and where its tensors lie.
#[derive(Debug)]
pub(crate) struct TensorFile {
    pub(crate) path: PathBuf,
    file: Mutex<File>,
    header: Header,
    /// Recipes that make the tensors of a GGUF file of its bytes; none of others, whose tensors lie in them.
    recipes: HashMap<String, Recipe>,
}

/// A tensor in its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredTensor<'a> {
    pub(crate) file: &'a TensorFile,
    recipe: Option<&'a Recipe>,
    pub(crate) info: &'a TensorInfo,
}

impl TensorFile {
    /// Reads the header of a file and checks it: its length against the file's, and each tensor's place
    /// and size against its shape and its neighbours.
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = open_regular(path).map_err(file_error("read", path))?;
        if is_gguf(path) {
            return Self::gguf(path, file);
        }
        let metadata = file.metadata().map_err(file_error("read", path))?;
        let mut start = Vec::new();
        let mut prefix = (&file).take(LFS_PREFIX.len() as u64);
        prefix
            .read_to_end(&mut start)
            .map_err(file_error("read", path))?;
        if start == LFS_PREFIX {
            return Err(CheckpointError::Pointer(path.to_owned()));
        }
        let header = Header::read(start.chain(&file), metadata.len());
        Ok(Self {
            path: path.to_owned(),
            header: header.map_err(|source| CheckpointError::Damaged {
                path: path.to_owned(),
                source,
            })?,
            file: Mutex::new(file),
            recipes: HashMap::new(),
        })
    }

    /// Takes the tensors of a GGUF file by their published names.
    fn gguf(path: &Path, file: File) -> Result<Self, CheckpointError> {
        let (tensors, recipes) = Gguf::read(path, &file)?.published()?;
        Ok(Self {
            path: path.to_owned(),
            header: Header {
                data_start: 0,
                tensors,
                words: HashMap::new(),
            },
            file: Mutex::new(file),
            recipes,
        })
    }

    /// The names of the tensors, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.header.tensors.keys().map(String::as_str)
    }

    /// The words beside the tensors.
    pub(crate) fn words(&self) -> &HashMap<String, String> {
        &self.header.words
    }

    /// The tensors by their names, in no order.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, StoredTensor<'_>)> {
        let names = self.header.tensors.keys();
        names.filter_map(|name| Some((name.as_str(), self.get(name)?)))
    }

    pub(crate) fn get(&self, name: &str) -> Option<StoredTensor<'_>> {
        Some(StoredTensor {
            file: self,
            recipe: self.recipes.get(name),
            info: self.header.tensors.get(name)?,
        })
    }

    fn read_at(&self, start: u64, n_bytes: usize) -> io::Result<Vec<u8>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; n_bytes];
        match file.read_exact(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(io::Error::other(
                "it has become shorter since it was opened",
            )),
            read => read.map(|()| bytes),
        }
    }
}

impl<'a> StoredTensor<'a> {
    pub(crate) fn path(&self) -> &'a Path {
        &self.file.path
    }

    /// The number of bytes.
    pub(crate) fn n_bytes(&self) -> usize {
        self.info.data_offsets.1 - self.info.data_offsets.0
    }

    /// Reads the bytes of the whole tensor.
    pub(crate) fn read(&self) -> Result<Vec<u8>, CheckpointError> {
        self.read_range(0..self.n_bytes())
    }

    /// Reads a part of its bytes.
    pub(crate) fn read_range(&self, range: Range<usize>) -> Result<Vec<u8>, CheckpointError> {
        let read = match self.recipe {
            Some(recipe) => self.decoded(recipe, range),
            None => {
                let start = self.info.data_offsets.0 + range.start;
                let start = self.file.header.data_start + start as u64;
                self.file.read_at(start, range.len())
            }
        };
        read.map_err(file_error("read", self.path()))
    }

    /// A part of the bytes that a tensor of a GGUF file is decoded to.
    fn decoded(&self, recipe: &Recipe, range: Range<usize>) -> io::Result<Vec<u8>> {
        let mut bytes = recipe.read(&|start, n_bytes| self.file.read_at(start, n_bytes))?;
        if range != (0..bytes.len()) {
            bytes = bytes[range].to_vec();
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    #[test]
    fn a_file_that_is_cut_after_it_was_opened_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.safetensors");
        let bytes = [1u8; 1 << 16];
        let view = TensorView::new(Dtype::U8, vec![bytes.len()], &bytes).expect("a tensor");
        safetensors::serialize_to_file([("x", view)], None, &path).expect("a file");
        let file = TensorFile::open(&path).expect("a whole file");
        let tensor = file.get("x").expect("it is there");
        assert_eq!(tensor.read().expect("its bytes"), bytes);
        let short = File::options().write(true).open(&path).expect("the file");
        short.set_len(100).expect("a shorter file");
        let error = tensor.read().expect_err("it is cut").to_string();
        assert!(
            error.contains("x.safetensors") && error.contains("shorter"),
            "{error}"
        );
    }
}
