//! A data file: chunks of arrays, by the arrays' numbers.

use super::array::Chunk;
use super::index::{RANGES, ranges_in};
use super::msgpack::{Value, parse};
use std::collections::HashMap;

/// The key that says that a map is one of chunks.
const MARK: &str = "__msgpack_array_chunk_a87ca2__";
/// The extension of an array of numbers.
const NUMBERS: i8 = 1;

/// The chunks of each array that a file has.
pub(super) type Chunks<'a> = HashMap<usize, Vec<TypedChunk<'a>>>;

/// A chunk with the name of its type.
#[derive(Debug)]
pub(super) struct TypedChunk<'a> {
    pub(super) chunk: Chunk<'a>,
    pub(super) dtype: &'a str,
}

/// Reads a data file.
pub(super) fn read_chunks(bytes: &[u8]) -> Result<Chunks<'_>, String> {
    let Value::Map(pairs) = parse(bytes)? else {
        return Err("it is no map of chunks".to_owned());
    };
    let mut chunks = Chunks::new();
    for (key, value) in &pairs {
        let key = key.text().unwrap_or_default();
        if key == MARK {
            continue;
        }
        let number: usize = key.parse().map_err(|_| format!("`{key}` is no array"))?;
        let of_array = value
            .list()
            .and_then(|list| list.iter().map(chunk).collect());
        let of_array: Vec<TypedChunk<'_>> =
            of_array.ok_or(format!("the chunks of array {number} cannot be understood"))?;
        chunks.insert(number, of_array);
    }
    Ok(chunks)
}

/// `[[numbers, ...], ranges]`
fn chunk<'a>(value: &Value<'a>) -> Option<TypedChunk<'a>> {
    let [pieces, ranges] = value.list()? else {
        return None;
    };
    let Value::Extension(RANGES, _) = ranges else {
        return None;
    };
    let pieces: Vec<(&str, &[u8])> = pieces.list()?.iter().map(numbers).collect::<Option<_>>()?;
    let (dtype, _) = pieces.first()?;
    Some(TypedChunk {
        dtype: pieces
            .iter()
            .all(|piece| piece.0 == *dtype)
            .then_some(*dtype)?,
        chunk: Chunk {
            ranges: ranges_in(ranges)?,
            pieces: pieces.iter().map(|piece| piece.1).collect(),
        },
    })
}

/// The type and the bytes of `[shape, type, bytes]`.
fn numbers<'a>(value: &Value<'a>) -> Option<(&'a str, &'a [u8])> {
    let Value::Extension(NUMBERS, _) = value else {
        return None;
    };
    match value.inner()?.list()? {
        [_, dtype, Value::Bytes(bytes)] => Some((dtype.text()?, *bytes)),
        _ => None,
    }
}
