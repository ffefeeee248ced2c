//! The index: which arrays there are, and where their chunks lie.

use super::array::Ranges;
use super::msgpack::{Value, parse};
use safetensors::Dtype;

/// The only version whose arrays are numbered by what the file itself says.
const VERSION: &str = "20220622";
/// The extensions of an array in the index and of ranges.
const ARRAY: i8 = 8;
pub(super) const RANGES: i8 = 6;
/// Arrays that are not larger than this are counted without overflow.
const LARGEST: usize = 1 << 48;

/// The arrays of a checkpoint.
#[derive(Debug)]
pub(super) struct Index {
    /// The number of data files.
    pub(super) n_files: usize,
    /// The arrays by their numbers.
    pub(super) arrays: Vec<IndexedArray>,
}

/// An array, without its values.
#[derive(Debug, PartialEq)]
pub(super) struct IndexedArray {
    /// The keys of the tree that lead to it.
    pub(super) path: Vec<String>,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: String,
    /// Its chunks, and the data file that each is in.
    pub(super) chunks: Vec<(Ranges, usize)>,
}

impl Index {
    /// Reads an index.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let index = parse(bytes)?;
        match index.get("version").and_then(Value::text) {
            Some(VERSION) => {}
            Some(other) => {
                return Err(format!(
                    "it is of version {other}; {VERSION} is what is known"
                ));
            }
            None => {
                return Err(format!(
                    "it says no version, as files from before {VERSION} do, and these do not say which array is which"
                ));
            }
        }
        let n_files = index.get("shard_count").and_then(Value::count);
        let tree = index.get("index").ok_or("it lacks the key index")?;
        let mut arrays = Vec::new();
        collect(tree, &mut Vec::new(), &mut arrays)?;
        Ok(Self {
            n_files: n_files.ok_or("it lacks the number of data files, shard_count")?,
            arrays,
        })
    }
}

/// Numbers the arrays as they are numbered in data files: by the order of the keys of each level.
fn collect<'a>(
    tree: &'a Value<'_>,
    path: &mut Vec<&'a str>,
    arrays: &mut Vec<IndexedArray>,
) -> Result<(), String> {
    match tree {
        Value::Nil => Ok(()),
        Value::Map(pairs) => {
            let mut pairs = pairs
                .iter()
                .map(|(key, value)| Some((key.text()?, value)))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| "a key is no text".to_owned())?;
            pairs.sort_by_key(|(key, _)| *key);
            for (key, value) in pairs {
                path.push(key);
                collect(value, path, arrays)?;
                path.pop();
            }
            Ok(())
        }
        Value::Extension(ARRAY, _) => {
            let array = array(tree, path);
            arrays.push(array.ok_or(format!("{} cannot be understood", path.join("/")))?);
            Ok(())
        }
        _ => Err(format!("{} is no array", path.join("/"))),
    }
}

/// `[bytes of [shape, type, ..], [bytes of ranges, ...], [file, ...]]`
fn array(value: &Value<'_>, path: &[&str]) -> Option<IndexedArray> {
    let value = value.inner()?;
    let [described, ranges, files] = value.list()? else {
        return None;
    };
    let described = described.inner()?;
    let [shape, dtype, ..] = described.list()? else {
        return None;
    };
    let shape: Vec<usize> = shape
        .list()?
        .iter()
        .map(Value::count)
        .collect::<Option<_>>()?;
    let sizes = shape.iter();
    let n_elements = sizes.fold(1u128, |n, size| n.saturating_mul(*size as u128));
    let (ranges, files) = (ranges.list()?, files.list()?);
    if ranges.len() != files.len() || n_elements > LARGEST as u128 {
        return None;
    }
    let chunks = ranges.iter().zip(files);
    Some(IndexedArray {
        path: path.iter().map(ToString::to_string).collect(),
        shape,
        dtype: dtype.text()?.to_owned(),
        chunks: chunks
            .map(|(ranges_of, file)| Some((ranges_in(ranges_of)?, file.count()?)))
            .collect::<Option<_>>()?,
    })
}

/// Ranges of axes: a list of the bytes of `[start, end, nothing]`.
pub(super) fn ranges_in(value: &Value<'_>) -> Option<Ranges> {
    let value = value.inner()?;
    let axes = value.list()?.iter();
    axes.map(|axis| {
        let axis = axis.inner()?;
        let [start, end, step] = axis.list()? else {
            return None;
        };
        let is_whole = matches!(step, Value::Nil | Value::Int(1));
        is_whole.then_some(start.count()?..end.count()?)
    })
    .collect()
}

/// The type of numbers of a name; none for those that weights do not have.
pub(super) fn dtype(name: &str) -> Option<Dtype> {
    match name {
        "float32" => Some(Dtype::F32),
        "float16" => Some(Dtype::F16),
        "bfloat16" => Some(Dtype::BF16),
        _ => None,
    }
}
