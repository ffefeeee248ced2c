//! The `routed_experts` of serving engines, `[seq_length - 1, n_moe_layers, top_k]`, as .npy or JSON.

use super::decode::whole;
use super::{LayerChunk, TraceChunk, TraceError};
use crate::disk::read_at_most;
use safetensors::Dtype;
use serde_json::Value;
use std::path::Path;

/// Larger files are refused: they hold a single sequence.
const MOST_BYTES: u64 = 1 << 30;

/// The first bytes of a .npy file.
const MAGIC: &[u8] = b"\x93NUMPY";

/// The experts of a sequence, token by token, layer by layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedExperts {
    /// The number of tokens.
    pub n_tokens: usize,
    /// The number of layers.
    pub n_layers: usize,
    /// The experts of a token in a layer.
    pub top_k: usize,
    /// `[T, L, K]`.
    experts: Vec<i32>,
}

impl RoutedExperts {
    /// Reads a file and checks that its experts exist.
    ///
    /// # Errors
    ///
    /// Returns what is not as it should be.
    pub fn read(path: &Path, n_experts: usize) -> Result<Self, TraceError> {
        let wrong = |what: String| TraceError::Import {
            path: path.to_owned(),
            what,
        };
        let bytes = read_at_most(path, MOST_BYTES).map_err(|error| wrong(error.to_string()))?;
        let read = if bytes.starts_with(MAGIC) {
            of_npy(&bytes)
        } else {
            of_json(&bytes)
        };
        let read = read.map_err(wrong)?;
        read.check(n_experts).map_err(wrong)?;
        Ok(read)
    }

    fn of(shape: [usize; 3], experts: Vec<i32>) -> Result<Self, String> {
        let [n_tokens, n_layers, top_k] = shape;
        let n = shape
            .iter()
            .try_fold(1usize, |n, size| n.checked_mul(*size));
        if n != Some(experts.len()) || experts.is_empty() {
            return Err(format!(
                "shape {shape:?} does not hold {} experts",
                experts.len()
            ));
        }
        Ok(Self {
            n_tokens,
            n_layers,
            top_k,
            experts,
        })
    }

    fn check(&self, n_experts: usize) -> Result<(), String> {
        let exists = |expert: i32| usize::try_from(expert).is_ok_and(|e| e < n_experts);
        match self.experts.iter().position(|&expert| !exists(expert)) {
            None => Ok(()),
            Some(at) => {
                let of_token = self.n_layers * self.top_k;
                Err(format!(
                    "token {} has expert {} in layer {}, of {n_experts} from 0; give the right --n-experts",
                    at / of_token,
                    self.experts[at],
                    at % of_token / self.top_k,
                ))
            }
        }
    }

    /// The sequence as a chunk of a trace, the given one of its groups.
    pub fn chunk(&self, group: u32) -> TraceChunk {
        let layer = |layer: usize| {
            let of_token = self.experts.chunks(self.n_layers * self.top_k);
            let row = |row: &[i32]| row[layer * self.top_k..][..self.top_k].to_vec();
            LayerChunk {
                width: self.top_k,
                experts: of_token.flat_map(row).collect(),
                ..LayerChunk::default()
            }
        };
        TraceChunk {
            n_tokens: self.n_tokens,
            group: Some(vec![group; self.n_tokens]),
            layers: (0..self.n_layers).map(layer).collect(),
            ..TraceChunk::default()
        }
    }
}

/// Reads a .npy file: a dictionary in words, then the numbers in C order.
fn of_npy(bytes: &[u8]) -> Result<RoutedExperts, String> {
    let (header, data) = npy_parts(bytes).ok_or("the file ends within its header")?;
    let value = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}':"))?;
        Some(rest.trim_start())
    };
    if !value("fortran_order").is_some_and(|order| order.starts_with("False")) {
        return Err("the array is not in C order: write numpy.ascontiguousarray of it".to_owned());
    }
    let descr = value("descr").and_then(|text| text.split('\'').nth(1));
    let dtype = dtype(descr.unwrap_or_default())?;
    let shape = value("shape").and_then(|text| text.strip_prefix('(')?.split(')').next());
    let sizes = shape.unwrap_or_default().split(',').map(str::trim);
    let sizes = sizes.filter(|size| !size.is_empty()).map(str::parse);
    let sizes: Result<Vec<usize>, _> = sizes.collect();
    let sizes = sizes.map_err(|_| "its shape is no numbers")?;
    let shape = <[usize; 3]>::try_from(sizes)
        .map_err(|sizes| format!("shape {sizes:?} is not [tokens, layers, top-k]"))?;
    RoutedExperts::of(shape, whole(data, dtype))
}

/// The dictionary of a .npy file, and the bytes behind it; none where the file is too short.
fn npy_parts(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (size, at) = if *bytes.get(6)? == 1 {
        (2, 10)
    } else {
        (4, 12)
    };
    let length = bytes.get(8..8 + size)?.iter().rev();
    let length = length.fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    let (header, data) = bytes.get(at..)?.split_at_checked(length)?;
    Some((String::from_utf8_lossy(header).into_owned(), data))
}

/// The type of the numbers by its name in numpy.
fn dtype(descr: &str) -> Result<Dtype, String> {
    Ok(match descr {
        "|u1" => Dtype::U8,
        "|i1" => Dtype::I8,
        "<i2" => Dtype::I16,
        "<u2" => Dtype::U16,
        "<i4" => Dtype::I32,
        "<u4" => Dtype::U32,
        "<i8" => Dtype::I64,
        _ => {
            return Err(format!(
                "numbers of type \"{descr}\" are not read; write int32"
            ));
        }
    })
}

fn list<'a>(value: &'a Value, what: &str) -> Result<&'a Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{what} is no list"))
}

/// Reads nested lists of numbers, alone or as `routed_experts` of an answer.
fn of_json(bytes: &[u8]) -> Result<RoutedExperts, String> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("neither a .npy file nor JSON: {error}"))?;
    let value = value.get("routed_experts").unwrap_or(&value);
    let tokens = list(value, "the array")?;
    let (mut shape, mut experts) = (None, Vec::new());
    for (t, token) in tokens.iter().enumerate() {
        let layers = list(token, &format!("token {t}"))?;
        for (l, layer) in layers.iter().enumerate() {
            let row = list(layer, &format!("layer {l} of token {t}"))?;
            if *shape.get_or_insert((layers.len(), row.len())) != (layers.len(), row.len()) {
                return Err(format!(
                    "token {t} has other layers or experts than the first"
                ));
            }
            for expert in row {
                let number = expert
                    .as_i64()
                    .and_then(|number| i32::try_from(number).ok());
                experts.push(number.ok_or_else(|| format!("token {t} has expert {expert}"))?);
            }
        }
    }
    let (n_layers, top_k) = shape.unwrap_or_default();
    RoutedExperts::of([tokens.len(), n_layers, top_k], experts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn arrays_and_lists_are_the_same() {
        // three tokens, two layers, one expert
        let data: Vec<u8> = [0i16, 1, 2, 3, 4, 5]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let read = of_npy(&npy("<i2", "False", "(3, 2, 1)", &data)).unwrap();
        let listed = of_json(b"{\"routed_experts\": [[[0], [1]], [[2], [3]], [[4], [5]]]}");
        assert_eq!(Ok(&read), listed.as_ref());
        let chunk = read.chunk(7);
        assert_eq!(chunk.layers[1].experts, [1, 3, 5]);
        assert_eq!((chunk.n_tokens, chunk.group_of(2)), (3, 7));
        assert!(read.check(6).is_ok());
        let error = read.check(5).unwrap_err();
        assert!(error.contains("token 2 has expert 5 in layer 1"), "{error}");
    }

    #[test]
    fn what_is_no_array_is_refused_in_words() {
        let data = [0; 12];
        let cases = [
            (
                of_npy(&npy("<f4", "False", "(3, 1, 1)", &data)),
                "type \"<f4\"",
            ),
            (of_npy(&npy("<i4", "True", "(3, 1, 1)", &data)), "C order"),
            (
                of_npy(&npy("<i4", "False", "(3, 1)", &data)),
                "is not [tokens",
            ),
            (
                of_npy(&npy("<i4", "False", "(4, 1, 1)", &data)),
                "does not hold 3",
            ),
            (
                of_npy(&npy("<i4", "False", "(x, 1, 1)", &data)),
                "no numbers",
            ),
            (of_npy(MAGIC), "ends within"),
            (
                of_npy(&[MAGIC, &[2, 0, 9, 9, 9, 9]].concat()),
                "ends within",
            ),
            (of_json(b"[[[1], [2]], [[1]]]"), "token 1 has other layers"),
            (of_json(b"[[[1.5]]]"), "token 0 has expert 1.5"),
            (of_json(b"[[3]]"), "layer 0 of token 0 is no list"),
            (of_json(b"[]"), "does not hold 0"),
            (of_json(b"x"), "nor JSON"),
        ];
        for (read, words) in cases {
            let error = read.unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
