//! Stored tensors, to be written as they are.

use super::entry::Entry;
use super::files::{StoredTensor, TensorFiles};
use super::layout::TensorCopy;
use super::values::Matrix;
use super::{CheckpointError, source};
use safetensors::{Dtype, View};
use std::borrow::Cow;

/// A tensor of a file under the name and in the shape of one expert's.
pub(super) struct Stored<'a> {
    pub(super) entry: Entry,
    pub(super) matrix: Matrix<'a>,
}

impl<'a> Stored<'a> {
    /// A tensor as it lies in its file.
    pub(super) fn whole(name: String, stored: StoredTensor<'a>) -> Self {
        let shape = &stored.info.shape;
        Self {
            matrix: Matrix {
                bytes: stored.bytes,
                dtype: stored.info.dtype,
                rows: shape.first().copied().unwrap_or(1),
                cols: shape.iter().skip(1).product(),
                scales: None,
            },
            entry: Entry::plain(name, shape, String::new()),
        }
    }
}

/// The tensors of a model as they lie in its files, FP8 with its scales, and the copies that are there.
pub(super) fn stored_tensors(
    files: &TensorFiles,
    entries: impl Iterator<Item = Entry>,
    copies: Vec<TensorCopy>,
) -> Result<Vec<(String, Stored<'_>)>, CheckpointError> {
    let mut tensors = Vec::new();
    for entry in entries {
        let matrix = source::matrix(files, &entry)?;
        if let Some(scales) = matrix.scales {
            let name = format!("{}{}", entry.name, source::SCALE);
            tensors.push((name.clone(), Stored::whole(name, scales)));
        }
        tensors.push((entry.name.clone(), Stored { entry, matrix }));
    }
    for copy in copies {
        if let Some(stored) = files.get(&copy.name) {
            tensors.push((copy.name.clone(), Stored::whole(copy.name, stored)));
        }
    }
    Ok(tensors)
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        self.matrix.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.entry.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.matrix.bytes)
    }

    fn data_len(&self) -> usize {
        self.matrix.bytes.len()
    }
}
