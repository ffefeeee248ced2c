//! Stored tensors, to be written as they are.

use super::entry::Entry;
use super::values::Matrix;
use safetensors::{Dtype, View};
use std::borrow::Cow;

/// A tensor of a file under the name and in the shape of one expert's; FP8 becomes f32 when it is
/// written.
pub(super) struct Stored<'a> {
    pub(super) entry: Entry,
    pub(super) matrix: Matrix<'a>,
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        match self.matrix.dtype {
            Dtype::F8_E4M3 => Dtype::F32,
            other => other,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.entry.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if self.matrix.dtype != Dtype::F8_E4M3 {
            return Cow::Borrowed(self.matrix.bytes);
        }
        let mut values = vec![0f32; self.entry.n_elements()];
        self.matrix.write(&mut values, false);
        Cow::Owned(values.into_iter().flat_map(f32::to_le_bytes).collect())
    }

    fn data_len(&self) -> usize {
        self.entry.n_elements() * self.dtype().bitsize() / 8
    }
}
