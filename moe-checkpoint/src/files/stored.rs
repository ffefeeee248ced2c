//! Stored tensors, to be written as they are.

use super::CheckpointError;
use super::entry::Entry;
use super::layout::TensorCopy;
use super::source::{self, Place};
use super::tensor_file::StoredTensor;
use super::tensor_files::TensorFiles;
use super::write::write_files;
use safetensors::{Dtype, View};
use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

/// The first error of reading while files are written.
type Failure = Rc<RefCell<Option<CheckpointError>>>;

/// The tensors of a model as they lie in its files.
pub(super) struct StoredTensors<'a> {
    tensors: Vec<(String, Stored<'a>)>,
    failure: Failure,
}

/// A tensor of a file under the name and in the shape of one expert's; read when it is written.
struct Stored<'a> {
    shape: Vec<usize>,
    source: Source<'a>,
    failure: Failure,
}

/// Source of the bytes of a tensor.
enum Source<'a> {
    /// The values of weights, which must be finite.
    Weights(Place<'a>),
    /// Anything, as it lies in its file.
    Whole(StoredTensor<'a>),
}

/// The tensors of a model, FP8 with its scales, and the copies that are there.
pub(super) fn stored_tensors(
    files: &TensorFiles,
    entries: impl Iterator<Item = Entry>,
    copies: Vec<TensorCopy>,
) -> Result<StoredTensors<'_>, CheckpointError> {
    let mut all = StoredTensors {
        tensors: Vec::new(),
        failure: Failure::default(),
    };
    for entry in entries {
        let place = source::place(files, &entry)?;
        if let Some(scales) = place.scales {
            all.push_whole(format!("{}{}", entry.name, source::SCALE), scales);
        }
        all.push(entry.name, entry.shape, Source::Weights(place));
    }
    for copy in copies {
        if let Some(stored) = files.get(&copy.name) {
            all.push_whole(copy.name, stored);
        }
    }
    Ok(all)
}

impl<'a> StoredTensors<'a> {
    fn push_whole(&mut self, name: String, stored: StoredTensor<'a>) {
        self.push(name, stored.info.shape.clone(), Source::Whole(stored));
    }

    fn push(&mut self, name: String, shape: Vec<usize>, source: Source<'a>) {
        let failure = self.failure.clone();
        let stored = Stored {
            shape,
            source,
            failure,
        };
        self.tensors.push((name, stored));
    }

    /// Writes them with the text of their configuration, one after the other.
    pub(super) fn write(self, folder: &Path, config_text: &[u8]) -> Result<(), CheckpointError> {
        write_files(folder, config_text, self.tensors)?;
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        match &self.source {
            Source::Weights(place) => place.dtype(),
            Source::Whole(stored) => stored.info.dtype,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes; zeros in their place if they cannot be read, which fails the whole.
    fn data(&self) -> Cow<'_, [u8]> {
        let read = match &self.source {
            Source::Weights(place) => place.read_finite().map(|matrix| matrix.bytes),
            Source::Whole(stored) => stored.read(),
        };
        Cow::Owned(read.unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            vec![0; self.data_len()]
        }))
    }

    fn data_len(&self) -> usize {
        match &self.source {
            Source::Weights(place) => place.n_bytes(),
            Source::Whole(stored) => stored.n_bytes(),
        }
    }
}
