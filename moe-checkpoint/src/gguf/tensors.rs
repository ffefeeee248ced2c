//! The published tensors that a GGUF file holds, and how each is made of its bytes.

use super::blocks::BlockType;
use super::config::Architecture;
use super::error::{Fault, GgufError, damaged};
use super::file::{Gguf, Stored};
use super::names::{self, KEYS, LATENT, LATENT_KEYS, LATENT_VALUES, QUERIES};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde_json::Value;
use std::collections::HashMap;
use std::io;

/// More published tensors are taken for damage: the largest models have some ten thousand matrices of experts.
const MOST_TENSORS: usize = 1 << 18;

/// Values that are decoded at a time.
const CHUNK: usize = 1 << 12;

/// The way from bytes of the file to a published tensor.
#[derive(Debug, Clone)]
pub(crate) enum Recipe {
    /// The values as they are.
    Plain(Stored),
    /// Rows of queries or keys, in whose heads llama.cpp has rotary pairs as neighbours.
    Rotary(Stored, usize),
    /// The expansion to keys, transposed in each head, and to values: published they alternate head by head.
    KeyValue(Stored, Stored),
}

/// The published tensors: types and shapes, and recipes.
pub(crate) type Tensors = (HashMap<String, TensorInfo>, HashMap<String, Recipe>);

/// The reading of some bytes at a place of the file.
type ReadAt<'a> = &'a dyn Fn(u64, usize) -> io::Result<Vec<u8>>;

impl Gguf {
    /// The published tensors.
    pub(crate) fn published(&self) -> Result<Tensors, GgufError> {
        self.recipes().map_err(|fault| fault.at(&self.path))
    }

    fn recipes(&self) -> Result<Tensors, Fault> {
        let (architecture, config) = (self.architecture()?, self.config()?);
        let heads = |field: &str| config.get(field).and_then(Value::as_u64).unwrap_or(0) as usize;
        let mut tensors = Tensors::default();
        for (name, stored) in &self.tensors {
            if let Some(of_expert) = names::experts(name, architecture) {
                self.experts(stored, of_expert, &mut tensors)?;
                continue;
            }
            let recipe = match names::in_layer(name) {
                Some((_, QUERIES)) if is_permuted(architecture) => {
                    Some(Recipe::Rotary(stored.clone(), heads("num_attention_heads")))
                }
                Some((_, KEYS)) if is_permuted(architecture) => {
                    Some(Recipe::Rotary(stored.clone(), heads("num_key_value_heads")))
                }
                Some((_, LATENT_KEYS | LATENT_VALUES)) => self.key_value(name),
                _ => Some(Recipe::Plain(stored.clone())),
            };
            if let Some(recipe) = recipe {
                insert(&mut tensors, names::published(name, architecture), recipe)?;
            }
        }
        Ok(tensors)
    }

    /// The matrices of the experts that one tensor holds.
    fn experts(
        &self,
        stored: &Stored,
        name: impl Fn(usize) -> String,
        tensors: &mut Tensors,
    ) -> Result<(), Fault> {
        let [n, _, _] = stored.shape[..] else {
            return damaged(format!("{} is of {:?}", name(0), stored.shape));
        };
        (0..n).try_for_each(|e| insert(tensors, name(e), Recipe::Plain(stored.part(e, n))))
    }

    /// The recipe of the part of keys with that of values; none of the latter, and where both are there joined.
    fn key_value(&self, name: &str) -> Option<Recipe> {
        let layer = name.strip_suffix(LATENT_KEYS)?;
        if self.tensors.contains_key(&format!("{layer}{LATENT}")) {
            return None;
        }
        let keys = self.tensors.get(name)?;
        let values = self.tensors.get(&format!("{layer}{LATENT_VALUES}"))?;
        Some(Recipe::KeyValue(keys.clone(), values.clone()))
    }
}

/// Tells whether llama.cpp rotates neighbours where the published model rotates halves.
fn is_permuted(architecture: Architecture) -> bool {
    matches!(architecture, Architecture::Llama | Architecture::Mixtral)
}

fn insert(tensors: &mut Tensors, name: String, recipe: Recipe) -> Result<(), Fault> {
    if tensors.0.len() == MOST_TENSORS {
        return damaged(format!("it has more than {MOST_TENSORS} matrices"));
    }
    let Some((dtype, shape)) = recipe.form() else {
        return damaged(format!("the parts of {name} do not fit together"));
    };
    let n_bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
    let info = TensorInfo {
        dtype,
        shape,
        data_offsets: (0, n_bytes),
    };
    tensors.1.insert(name.clone(), recipe);
    match tensors.0.insert(name.clone(), info) {
        Some(_) => damaged(format!("it has the tensor {name} twice")),
        None => Ok(()),
    }
}

impl Recipe {
    /// The type and the shape of the published tensor; none if its parts do not fit together.
    fn form(&self) -> Option<(Dtype, Vec<usize>)> {
        match self {
            Self::Plain(stored) => Some((dtype(stored.kind), stored.shape.clone())),
            Self::Rotary(stored, heads) => {
                let rows = *stored.shape.first()?;
                let pairs = heads.checked_mul(2).and_then(|n| rows.checked_rem(n));
                let is_whole = pairs == Some(0) && stored.shape.len() == 2;
                is_whole.then(|| (dtype(stored.kind), stored.shape.clone()))
            }
            Self::KeyValue(keys, values) => {
                let [heads, rank, nope] = keys.shape[..] else {
                    return None;
                };
                let [v_heads, v, v_rank] = values.shape[..] else {
                    return None;
                };
                let fit = heads == v_heads && rank == v_rank;
                let rows = heads.checked_mul(nope.checked_add(v)?)?;
                fit.then(|| (Dtype::F32, vec![rows, rank]))
            }
        }
    }

    /// Reads and decodes the bytes of the published tensor.
    pub(crate) fn read(&self, read_at: ReadAt<'_>) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(stored) => plain(stored, read_at),
            Self::Rotary(stored, heads) => {
                let (bytes, rows) = (plain(stored, read_at)?, stored.shape[0]);
                Ok(as_halves(&bytes, rows, rows / heads))
            }
            Self::KeyValue(keys, values) => {
                let [heads, rank, nope] = [0, 1, 2].map(|axis| keys.shape[axis]);
                let [keys, values] = [values_of(keys, read_at)?, values_of(values, read_at)?];
                let mut out = Vec::with_capacity(4 * (keys.len() + values.len()));
                let values = values.chunks_exact(values.len() / heads);
                for (keys, values) in keys.chunks_exact(rank * nope).zip(values) {
                    let transposed =
                        (0..nope).flat_map(|j| (0..rank).map(move |r| keys[r * nope + j]));
                    let both = transposed.chain(values.iter().copied());
                    out.extend(both.flat_map(f32::to_le_bytes));
                }
                Ok(out)
            }
        }
    }
}

/// The type that values are read in: their own, or f32 of blocks.
fn dtype(kind: BlockType) -> Dtype {
    match kind {
        BlockType::F16 => Dtype::F16,
        BlockType::Bf16 => Dtype::BF16,
        _ => Dtype::F32,
    }
}

/// The bytes of values in the type that they are read in.
fn plain(stored: &Stored, read_at: ReadAt<'_>) -> io::Result<Vec<u8>> {
    let bytes = read_at(stored.start, stored.n_bytes)?;
    if stored.kind.n_values() == 1 {
        return Ok(bytes);
    }
    let mut out = Vec::with_capacity(4 * stored.shape.iter().product::<usize>());
    let mut values = [0f32; CHUNK];
    for part in bytes.chunks(CHUNK / stored.kind.n_values() * stored.kind.n_bytes()) {
        let n = part.len() / stored.kind.n_bytes() * stored.kind.n_values();
        stored.kind.decode(part, &mut values[..n]);
        out.extend(values[..n].iter().flat_map(|x| x.to_le_bytes()));
    }
    Ok(out)
}

/// The values in f32.
fn values_of(stored: &Stored, read_at: ReadAt<'_>) -> io::Result<Vec<f32>> {
    let bytes = read_at(stored.start, stored.n_bytes)?;
    let mut values = vec![0.0; stored.shape.iter().product()];
    stored.kind.decode(&bytes, &mut values);
    Ok(values)
}

/// Puts the rows of each head from neighbours (0, half, 1, half + 1, ...) into halves (0, 1, ..., half, ...).
fn as_halves(bytes: &[u8], rows: usize, head_dim: usize) -> Vec<u8> {
    let width = bytes.len() / rows;
    let half = head_dim / 2;
    let mut out = Vec::with_capacity(bytes.len());
    for row in 0..rows {
        let (head, within) = (row / head_dim, row % head_dim);
        let from = head * head_dim + within % half * 2 + within / half;
        out.extend_from_slice(&bytes[from * width..][..width]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_halves() {
        // two heads of width 4, a byte a row
        assert_eq!(
            as_halves(&[0, 2, 1, 3, 4, 6, 5, 7], 8, 4),
            [0, 1, 2, 3, 4, 5, 6, 7]
        );
    }

    #[test]
    fn keys_and_values_alternate() {
        let stored = |shape: [usize; 3], start| Stored {
            kind: BlockType::F32,
            shape: shape.to_vec(),
            start,
            n_bytes: 4 * shape.iter().product::<usize>(),
        };
        // 2 heads, rank 2, 3 columns of keys and 1 row of values
        let recipe = Recipe::KeyValue(stored([2, 2, 3], 0), stored([2, 1, 2], 48));
        assert_eq!(recipe.form(), Some((Dtype::F32, vec![8, 2])));
        let file: Vec<u8> = (0..16u8).flat_map(|x| f32::from(x).to_le_bytes()).collect();
        let read_at = |start: u64, n: usize| Ok(file[start as usize..][..n].to_vec());
        let bytes = recipe.read(&read_at).expect("16 numbers");
        let mut values = [0.0; 16];
        BlockType::F32.decode(&bytes, &mut values);
        let first = [0.0, 3.0, 1.0, 4.0, 2.0, 5.0, 12.0, 13.0];
        let second = [6.0, 9.0, 7.0, 10.0, 8.0, 11.0, 14.0, 15.0];
        assert_eq!(values, [first, second].concat()[..]);
    }
}
