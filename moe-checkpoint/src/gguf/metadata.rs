//! Values beside the tensors of a GGUF file, by their keys.

use super::error::{Fault, damaged};
use super::reader::Reader;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

/// Arrays inside of arrays that are read.
const DEEPEST: usize = 4;

/// More elements of an array are not made JSON: none that says something about a model has as many.
const MOST_ELEMENTS: usize = 1024;

/// The types of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::Text,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self, Fault> {
        let id = reader.u32()?;
        match Self::ALL.get(id as usize) {
            Some(kind) => Ok(*kind),
            None => damaged(format!("there is no type of values {id}")),
        }
    }

    /// The bytes of a number; none of texts and arrays.
    fn n_bytes(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Text | Self::Array => None,
        }
    }
}

/// A value, as its place in the bytes of the file.
#[derive(Debug, Clone)]
enum Value {
    /// A number or a text.
    Single(Kind, Range<usize>),
    /// Values of one type, texts with their lengths before them.
    Array(Kind, Range<usize>),
}

/// The values beside the tensors. They are kept as the bytes of the file, which a vocabulary of small texts would
/// outgrow many times otherwise.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    bytes: Vec<u8>,
    values: BTreeMap<String, Value>,
}

/// Reads `n` keys with their values.
pub(super) fn read<R: Read>(reader: &mut Reader<R>, n: u64) -> Result<Keys, Fault> {
    let mut values = BTreeMap::new();
    for _ in 0..n {
        let key = reader.name()?;
        let value = match Kind::read(reader)? {
            Kind::Array => array(reader, DEEPEST)?,
            kind => Value::Single(kind, single(reader, kind)?),
        };
        if values.insert(key.clone(), value).is_some() {
            return damaged(format!("it has the key {key} twice"));
        }
    }
    Ok(Keys(values))
}

/// Places of values, of a file whose bytes are still being read.
#[derive(Debug)]
pub(super) struct Keys(BTreeMap<String, Value>);

impl Keys {
    /// The values with the bytes that they lie in.
    pub(super) fn with_bytes(self, bytes: Vec<u8>) -> Metadata {
        Metadata {
            bytes,
            values: self.0,
        }
    }
}

fn single<R: Read>(reader: &mut Reader<R>, kind: Kind) -> Result<Range<usize>, Fault> {
    match kind.n_bytes() {
        Some(n) => reader.take(n as u64),
        None => reader.text(),
    }
}

fn array<R: Read>(reader: &mut Reader<R>, depth: usize) -> Result<Value, Fault> {
    let kind = Kind::read(reader)?;
    let n = reader.u64()?;
    let start = reader.at() as usize;
    match kind.n_bytes() {
        Some(size) => {
            reader.take(n.saturating_mul(size as u64))?;
        }
        None if kind == Kind::Text => {
            for _ in 0..n {
                reader.text()?;
            }
        }
        None if depth == 0 => return damaged("it has arrays in arrays in arrays without end"),
        None => {
            for _ in 0..n {
                array(reader, depth - 1)?;
            }
        }
    }
    Ok(Value::Array(kind, start..reader.at() as usize))
}

impl Metadata {
    /// The keys, in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Value::Single(Kind::Text, range) => self.str(range),
            _ => None,
        }
    }

    /// The texts of an array.
    pub(super) fn texts(&self, key: &str) -> Option<impl Iterator<Item = &str>> {
        let Value::Array(Kind::Text, range) = self.values.get(key)? else {
            return None;
        };
        let mut rest = self.bytes.get(range.clone())?;
        Some(std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk()?;
            let (text, after) = after.split_at_checked(u64::from_le_bytes(*length) as usize)?;
            rest = after;
            std::str::from_utf8(text).ok()
        }))
    }

    /// The numbers of an array.
    pub(super) fn numbers(&self, key: &str) -> Option<impl Iterator<Item = f64>> {
        let Value::Array(kind, range) = self.values.get(key)? else {
            return None;
        };
        let numbers = self.bytes.get(range.clone())?;
        let numbers = numbers.chunks_exact(kind.n_bytes()?);
        Some(numbers.map(|bytes| number(*kind, bytes).as_f64().unwrap_or(f64::NAN)))
    }

    /// A whole number of at least 0.
    pub(super) fn whole(&self, key: &str) -> Option<u64> {
        self.json(key)?.as_u64()
    }

    /// A truth.
    pub(super) fn truth(&self, key: &str) -> Option<bool> {
        self.json(key)?.as_bool()
    }

    /// Any value as JSON; of arrays that are long, or of others, how they are.
    pub(super) fn json(&self, key: &str) -> Option<Json> {
        Some(match self.values.get(key)? {
            Value::Single(Kind::Text, range) => self.str(range)?.into(),
            Value::Single(kind, range) => number(*kind, self.bytes.get(range.clone())?),
            Value::Array(kind, range) => match kind.n_bytes() {
                Some(size) if range.len() / size <= MOST_ELEMENTS => {
                    let numbers = self.bytes.get(range.clone())?.chunks_exact(size);
                    numbers.map(|bytes| number(*kind, bytes)).collect()
                }
                _ => format!("an array of {} bytes", range.len()).into(),
            },
        })
    }

    fn str(&self, range: &Range<usize>) -> Option<&str> {
        std::str::from_utf8(self.bytes.get(range.clone())?).ok()
    }
}

/// The number in as many bytes as its type has; `null` if it is not finite.
fn number(kind: Kind, bytes: &[u8]) -> Json {
    let mut wide = [0; 8];
    wide[..bytes.len().min(8)].copy_from_slice(&bytes[..bytes.len().min(8)]);
    let word = u64::from_le_bytes(wide);
    match kind {
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => word.into(),
        Kind::I8 => (word as u8).cast_signed().into(),
        Kind::I16 => (word as u16).cast_signed().into(),
        Kind::I32 => (word as u32).cast_signed().into(),
        Kind::I64 => word.cast_signed().into(),
        Kind::F32 => decimal(f32::from_bits(word as u32)).into(),
        Kind::F64 => f64::from_bits(word).into(),
        Kind::Bool => (word != 0).into(),
        Kind::Text | Kind::Array => Json::Null,
    }
}

/// The number that was meant: 1e-5 in 32 bits is 1e-5 and not 9.999999747378752e-6.
fn decimal(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// One key "k" with a value of a type.
    fn value(kind: u32, bytes: &[u8]) -> Result<Metadata, Fault> {
        let file = [&1u64.to_le_bytes()[..], b"k", &kind.to_le_bytes(), bytes].concat();
        let mut reader = Reader::new(&file[..], file.len() as u64);
        let keys = read(&mut reader, 1)?;
        Ok(keys.with_bytes(reader.into_bytes()))
    }

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    #[test]
    fn numbers_are_what_was_meant() {
        let cases = [
            (1, (-3i8).to_le_bytes().to_vec(), json!(-3)),
            (4, 7u32.to_le_bytes().to_vec(), json!(7)),
            (6, 1e-5f32.to_le_bytes().to_vec(), json!(1e-5)),
            (6, f32::NAN.to_le_bytes().to_vec(), Json::Null),
            (7, vec![1], json!(true)),
            (8, text("é"), json!("é")),
            (11, i64::MIN.to_le_bytes().to_vec(), json!(i64::MIN)),
            (12, 0.1f64.to_le_bytes().to_vec(), json!(0.1)),
        ];
        for (kind, bytes, expected) in cases {
            let read = value(kind, &bytes).expect("a value");
            assert_eq!(read.json("k"), Some(expected));
        }
    }

    #[test]
    fn arrays_are_of_texts_or_numbers() {
        let head = |kind: u32, n: u64| [&kind.to_le_bytes()[..], &n.to_le_bytes()].concat();
        let texts = [head(8, 2), text("a"), text("")].concat();
        let texts = value(9, &texts).expect("two texts");
        assert_eq!(
            texts.texts("k").expect("texts").collect::<Vec<_>>(),
            ["a", ""]
        );
        let numbers = [head(3, 2), vec![255, 255, 2, 0]].concat();
        let numbers = value(9, &numbers).expect("two numbers");
        assert_eq!(numbers.json("k"), Some(json!([-1, 2])));
        assert_eq!(numbers.numbers("k").expect("numbers").sum::<f64>(), 1.0);
        let nested = (0..6).fold(head(0, 0), |inner, _| [head(9, 1), inner].concat());
        value(9, &nested).expect_err("too deep");
    }

    #[test]
    fn lengths_are_not_believed() {
        let head = |kind: u32, n: u64| [&kind.to_le_bytes()[..], &n.to_le_bytes()].concat();
        for bytes in [
            head(10, u64::MAX),
            head(8, u64::MAX),
            head(0, 1 << 40),
            vec![1],
        ] {
            value(9, &bytes).expect_err("there are fewer bytes");
        }
        value(8, &u64::MAX.to_le_bytes()).expect_err("a text without end");
        value(13, &[]).expect_err("no such type");
    }
}
