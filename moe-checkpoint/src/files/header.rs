//! The header of a safetensors file: read, not mapped, so that it cannot change under the reader.

use safetensors::SafeTensorError;
use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::HashMap;
use std::io::Read;

/// The bytes before the header: its length.
const PREFIX: u64 = 8;

/// Longer headers are taken for damage, as the format's own reader does.
const LONGEST: u64 = 100_000_000;

/// Places of the tensors of a file.
#[derive(Debug)]
pub(crate) struct Header {
    /// The first byte of the data, from which the places of tensors count.
    pub(super) data_start: u64,
    /// The tensors by name.
    pub(super) tensors: HashMap<String, TensorInfo>,
    /// The words beside them.
    pub(super) words: HashMap<String, String>,
}

impl Header {
    /// Reads the header of a file of `file_length` bytes and checks that its tensors fill the rest of
    /// the file, each as many bytes as its shape and type take.
    pub(super) fn read(mut file: impl Read, file_length: u64) -> Result<Self, SafeTensorError> {
        let Some(longest) = file_length.checked_sub(PREFIX) else {
            return Err(SafeTensorError::HeaderTooSmall);
        };
        let mut length = [0; PREFIX as usize];
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > LONGEST {
            return Err(SafeTensorError::HeaderTooLarge);
        }
        if length > longest {
            return Err(SafeTensorError::InvalidHeaderLength);
        }
        let mut text = vec![0; length as usize];
        file.read_exact(&mut text)?;
        let text = std::str::from_utf8(&text).map_err(SafeTensorError::InvalidHeader)?;
        let metadata: Metadata =
            serde_json::from_str(text).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
        let tensors = metadata.tensors().into_iter();
        let tensors: HashMap<String, TensorInfo> =
            tensors.map(|(name, info)| (name, info.clone())).collect();
        let data_start = PREFIX + length;
        check(&tensors, file_length - data_start)?;
        Ok(Self {
            data_start,
            tensors,
            words: metadata.metadata().clone().unwrap_or_default(),
        })
    }
}

/// Checks that tensors follow one another without a gap up to `length`.
fn check(tensors: &HashMap<String, TensorInfo>, length: u64) -> Result<(), SafeTensorError> {
    let mut tensors: Vec<(&String, &TensorInfo)> = tensors.iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let mut next = 0;
    for (name, info) in tensors {
        let (start, end) = info.data_offsets;
        if start != next || end < start {
            return Err(SafeTensorError::InvalidOffset(name.clone()));
        }
        if end - start != n_bytes(info)? {
            return Err(SafeTensorError::TensorInvalidInfo);
        }
        next = end;
    }
    if next as u64 == length {
        Ok(())
    } else {
        Err(SafeTensorError::MetadataIncompleteBuffer)
    }
}

fn n_bytes(info: &TensorInfo) -> Result<usize, SafeTensorError> {
    let mut sizes = info.shape.iter();
    let bits = sizes.try_fold(info.dtype.bitsize(), |bits, size| bits.checked_mul(*size));
    match bits.ok_or(SafeTensorError::ValidationOverflow)? {
        bits if bits.is_multiple_of(8) => Ok(bits / 8),
        _ => Err(SafeTensorError::MisalignedSlice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A file with this header and `n_bytes` of data.
    fn read(header: &Value, n_bytes: usize) -> Result<Header, SafeTensorError> {
        let header = header.to_string().into_bytes();
        let length = (header.len() as u64).to_le_bytes();
        let file = [length.to_vec(), header, vec![0; n_bytes]].concat();
        Header::read(file.as_slice(), file.len() as u64)
    }

    fn tensor(dtype: &str, shape: Value, offsets: [usize; 2]) -> Value {
        json!({"dtype": dtype, "shape": shape, "data_offsets": offsets})
    }

    #[test]
    fn tensors_fill_the_file() {
        let (a, b) = (
            tensor("F32", json!([3]), [0, 12]),
            tensor("BF16", json!([2, 1]), [12, 16]),
        );
        let header = json!({"b": b, "a": a, "__metadata__": {"format": "pt"}});
        let read_header = read(&header, 16).expect("a header");
        assert_eq!(read_header.tensors["b"].data_offsets, (12, 16));
        assert_eq!(read_header.data_start, 8 + header.to_string().len() as u64);
        for n_bytes in [0, 15, 17] {
            let error = read(&header, n_bytes).expect_err("another length");
            assert!(
                matches!(error, SafeTensorError::MetadataIncompleteBuffer),
                "{error}"
            );
        }
    }

    #[test]
    fn gaps_overlaps_and_other_sizes_are_refused() {
        let a = tensor("F32", json!([3]), [0, 12]);
        let cases = [
            tensor("F32", json!([1]), [16, 20]), // a gap
            tensor("F32", json!([1]), [8, 12]),  // an overlap
            tensor("F32", json!([1]), [12, 11]), // backwards
            tensor("F32", json!([2]), [12, 16]), // 8 bytes in 4
            tensor("F4", json!([3]), [12, 13]),  // one byte and a half
            tensor("F32", json!([1usize << 40, 1usize << 40]), [12, 16]),
        ];
        for b in cases {
            let text = b.to_string();
            read(&json!({"a": a, "b": b}), 4).expect_err(&text);
        }
    }

    #[test]
    fn a_length_is_not_believed() {
        for (length, n_bytes) in [(u64::MAX, 8), (LONGEST + 1, 8), (9, 8), (0, 7)] {
            let file = [length.to_le_bytes().to_vec(), vec![b' '; n_bytes]].concat();
            let short = &file[..n_bytes.min(7) + n_bytes];
            Header::read(short, short.len() as u64).expect_err("there are fewer bytes");
        }
    }
}
