//! Released V-MoE checkpoints: an index and its data files.

use super::array::{Chunk, ChunkedArray};
use super::data::{Chunks, read_chunks};
use super::index::{Index, IndexedArray, dtype};
use crate::disk::open_regular;
use crate::files::error::file_error;
use crate::files::write::{whole_folder, write_files};
use crate::{CheckpointError, VmoeCheckpoint};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A released checkpoint of a vision model, in memory: an index and its data files. What the model is
/// stands in none of them but in a `config.json` beside, which is written by hand.
#[derive(Debug)]
pub struct ReleasedVmoe {
    config: PathBuf,
    index: (PathBuf, Index),
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl ReleasedVmoe {
    /// Tells whether a path is that of an index.
    pub fn is_at(path: &Path) -> bool {
        path.extension().is_some_and(|end| end == "index") && path.is_file()
    }

    /// Reads `PREFIX.index` and its data files.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file that is missing or that cannot be understood.
    pub fn open(index: &Path) -> Result<Self, CheckpointError> {
        let config = index.with_file_name("config.json");
        if !config.is_file() {
            return Err(CheckpointError::NoConfig {
                index: index.to_owned(),
                config,
            });
        }
        let read = Index::parse(&bytes(index)?).map_err(unreadable(index))?;
        let name = |i: usize| {
            let end = format!("data-{i:05}-of-{:05}", read.n_files);
            index.with_extension(end)
        };
        // an index that asks for a million files stops at the first that is missing
        let files = (0..read.n_files).map(|i| bytes(&name(i)).map(|bytes| (name(i), bytes)));
        Ok(Self {
            config,
            files: files.collect::<Result<_, _>>()?,
            index: (index.to_owned(), read),
        })
    }

    /// Writes the model in the published layout, with the `config.json` beside the index: the tree of
    /// `params` if there is one, as a state of training has it, else all.
    ///
    /// # Errors
    ///
    /// Returns an error if chunks are missing or do not fit, if the arrays are not those of the
    /// configuration, or if `target` exists or cannot be written; nothing is left behind then.
    pub fn publish(&self, target: &Path) -> Result<(), CheckpointError> {
        let chunks = self.files.iter();
        let chunks = chunks.map(|(path, bytes)| read_chunks(bytes).map_err(unreadable(path)));
        let chunks: Vec<Chunks<'_>> = chunks.collect::<Result<_, _>>()?;
        let arrays = &self.index.1.arrays;
        let params = arrays
            .iter()
            .any(|array| array.path.first().is_some_and(|key| key == "params"));
        let mut tensors = Vec::new();
        for (number, array) in arrays.iter().enumerate() {
            let name = match array.path.split_first() {
                Some((first, rest)) if params && first == "params" => rest.join("/"),
                _ if params => continue,
                _ => array.path.join("/"),
            };
            let array = joined(number, array, &chunks);
            let array = array.map_err(|what| self.problem(format!("{name}: {what}")))?;
            tensors.push((name, array));
        }
        let text = bytes(&self.config)?;
        whole_folder(target, |folder| {
            let views = tensors.iter().map(|(name, array)| (name.clone(), array));
            write_files(folder, &text, views.collect())?;
            VmoeCheckpoint::open(folder).map(|_| ())
        })
    }

    fn problem(&self, what: String) -> CheckpointError {
        unreadable(&self.index.0)(what)
    }
}

/// An array with the chunks that the index says it has.
fn joined<'a>(
    number: usize,
    array: &IndexedArray,
    files: &[Chunks<'a>],
) -> Result<ChunkedArray<'a>, String> {
    let known = dtype(&array.dtype).ok_or(format!("weights are not of type {}", array.dtype))?;
    let mut chunks: Vec<Chunk<'a>> = Vec::new();
    for (ranges, file) in &array.chunks {
        let of_array = files.get(*file).and_then(|chunks| chunks.get(&number));
        let found = of_array.and_then(|of| of.iter().find(|found| found.chunk.ranges == *ranges));
        let found = found.ok_or(format!("data file {file} lacks its chunk {ranges:?}"))?;
        if found.dtype != array.dtype {
            return Err(format!("a chunk is of type {}", found.dtype));
        }
        chunks.push(found.chunk.clone());
    }
    ChunkedArray::new(array.shape.clone(), known, chunks)
}

fn bytes(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let read = || {
        let mut bytes = Vec::new();
        open_regular(path)?.read_to_end(&mut bytes).map(|_| bytes)
    };
    read().map_err(file_error("read", path))
}

fn unreadable(path: &Path) -> impl FnOnce(String) -> CheckpointError {
    move |what| CheckpointError::Native {
        path: path.to_owned(),
        what,
    }
}
