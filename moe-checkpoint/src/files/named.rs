//! Tensors on the host by their names.

use super::CheckpointError;
use super::tensor_file::TensorFile;
use super::values::{Matrix, is_weight};
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::path::Path;

/// A tensor on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row by row.
    pub values: HostValues,
}

/// The values of a [`HostTensor`].
#[derive(Debug, Clone, PartialEq)]
pub enum HostValues {
    /// Numbers, from f32, f16 or bf16.
    Floats(Vec<f32>),
    /// Whole numbers, from i64, i32 or u8.
    Ints(Vec<i64>),
}

/// Reads all tensors of a small safetensors file.
///
/// # Errors
///
/// Returns an error if the file cannot be read, is not whole, or has a tensor of another type than
/// f32, f16, bf16, i64, i32 and u8.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, HostTensor>, CheckpointError> {
    let file = TensorFile::open(path)?;
    let mut tensors = BTreeMap::new();
    for (name, stored) in file.tensors() {
        let info = stored.info;
        let bytes = stored.read()?;
        let values = match info.dtype {
            Dtype::I64 => {
                let words = bytes.chunks_exact(8);
                let word = |word: &[u8]| i64::from_le_bytes(word.try_into().expect("8 bytes"));
                HostValues::Ints(words.map(word).collect())
            }
            Dtype::I32 => {
                let words = bytes.chunks_exact(4);
                let word = |word: &[u8]| i32::from_le_bytes(word.try_into().expect("4 bytes"));
                HostValues::Ints(words.map(|bytes| word(bytes).into()).collect())
            }
            Dtype::U8 => HostValues::Ints(bytes.iter().map(|&byte| byte.into()).collect()),
            dtype if is_weight(dtype) && dtype != Dtype::F8_E4M3 => {
                HostValues::Floats(Matrix::of_numbers(info, bytes).values())
            }
            found => {
                return Err(CheckpointError::Dtype {
                    path: path.to_owned(),
                    tensor: name.to_owned(),
                    found,
                });
            }
        };
        let shape = info.shape.clone();
        tensors.insert(name.to_owned(), HostTensor { shape, values });
    }
    Ok(tensors)
}
