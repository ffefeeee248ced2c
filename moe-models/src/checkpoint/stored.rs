//! Stored tensors, to be written as they are.

use super::entry::Entry;
use super::files::StoredTensor;
use super::values::Matrix;
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
