//! MessagePack, as much of it as these files have.

/// A value; texts and bytes lie in the file's own.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A text, or bytes: old writers make no difference.
    Bytes(&'a [u8]),
    List(Vec<Value<'a>>),
    Map(Vec<(Value<'a>, Value<'a>)>),
    Extension(i8, &'a [u8]),
}

/// Lists and maps within each other.
const DEEPEST: usize = 64;

/// Reads the one value that the bytes are.
pub(super) fn parse(bytes: &[u8]) -> Result<Value<'_>, String> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    match reader.rest.len() {
        0 => Ok(value),
        n => Err(format!("{n} bytes follow the end")),
    }
}

impl<'a> Value<'a> {
    /// The value of a key of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else {
            return None;
        };
        let mut pairs = pairs.iter();
        let pair = pairs.find(|(name, _)| name.text() == Some(key));
        pair.map(|(_, value)| value)
    }

    /// A number that counts.
    pub(super) fn count(&self) -> Option<usize> {
        match self {
            Self::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&'a str> {
        match *self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The values of a list.
    pub(super) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// The value that the bytes of this one are.
    pub(super) fn inner(&self) -> Option<Value<'a>> {
        match *self {
            Self::Bytes(bytes) | Self::Extension(_, bytes) => parse(bytes).ok(),
            _ => None,
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let taken = self.rest.split_at_checked(n);
        let (bytes, rest) = taken.ok_or_else(|| "it ends in the middle of a value".to_owned())?;
        self.rest = rest;
        Ok(bytes)
    }

    /// An unsigned number of so many bytes, the highest first.
    fn number(&mut self, n: usize) -> Result<u64, String> {
        let bytes = self.take(n)?.iter();
        Ok(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn length(&mut self, n: usize) -> Result<usize, String> {
        let length = self.number(n)?;
        usize::try_from(length).map_err(|_| "a length is too large".to_owned())
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, String> {
        if depth > DEEPEST {
            return Err(format!("lists lie more than {DEEPEST} deep in each other"));
        }
        let mark = self.take(1)?[0];
        Ok(match mark {
            0x00..=0x7f => Value::Int(i64::from(mark)),
            0x80..=0x8f => self.map(usize::from(mark & 0x0f), depth)?,
            0x90..=0x9f => self.list(usize::from(mark & 0x0f), depth)?,
            0xa0..=0xbf => Value::Bytes(self.take(usize::from(mark & 0x1f))?),
            0xc0 => Value::Nil,
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc4..=0xc6 => self.bytes(1 << (mark - 0xc4))?,
            0xc7..=0xc9 => {
                let length = self.length(1 << (mark - 0xc7))?;
                self.extension(length)?
            }
            0xca => Value::Float(f64::from(f32::from_bits(self.number(4)? as u32))),
            0xcb => Value::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => {
                let number = self.number(1 << (mark - 0xcc))?;
                let number = i64::try_from(number);
                Value::Int(number.map_err(|_| "a number is too large".to_owned())?)
            }
            0xd0..=0xd3 => {
                let n = 1 << (mark - 0xd0);
                let unused = 64 - 8 * n as u32;
                // the sign is that of the highest byte
                Value::Int((self.number(n)? << unused) as i64 >> unused)
            }
            0xd4..=0xd8 => self.extension(1 << (mark - 0xd4))?,
            0xd9..=0xdb => self.bytes(1 << (mark - 0xd9))?,
            0xdc | 0xdd => {
                let length = self.length(2 << (mark - 0xdc))?;
                self.list(length, depth)?
            }
            0xde | 0xdf => {
                let length = self.length(2 << (mark - 0xde))?;
                self.map(length, depth)?
            }
            0xe0..=0xff => Value::Int(i64::from(mark as i8)),
            0xc1 => return Err("it has the byte 0xC1, which means nothing".to_owned()),
        })
    }

    /// Bytes behind a length of so many bytes.
    fn bytes(&mut self, n: usize) -> Result<Value<'a>, String> {
        let length = self.length(n)?;
        self.take(length).map(Value::Bytes)
    }

    fn extension(&mut self, length: usize) -> Result<Value<'a>, String> {
        let kind = self.take(1)?[0] as i8;
        Ok(Value::Extension(kind, self.take(length)?))
    }

    fn list(&mut self, length: usize, depth: usize) -> Result<Value<'a>, String> {
        let values = (0..length).map(|_| self.value(depth + 1));
        values.collect::<Result<_, _>>().map(Value::List)
    }

    fn map(&mut self, length: usize, depth: usize) -> Result<Value<'a>, String> {
        let pairs = (0..length).map(|_| Ok((self.value(depth + 1)?, self.value(depth + 1)?)));
        pairs.collect::<Result<_, String>>().map(Value::Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_of_every_mark() {
        let text = |text: &'static str| Value::Bytes(text.as_bytes());
        let cases: [(&[u8], Value<'_>); 16] = [
            (&[0x7f], Value::Int(127)),
            (&[0xff], Value::Int(-1)),
            (&[0xcc, 0xff], Value::Int(255)),
            (&[0xcd, 1, 0], Value::Int(256)),
            (&[0xd0, 0x80], Value::Int(-128)),
            (&[0xd1, 0xff, 0xfe], Value::Int(-2)),
            (&[0xc0], Value::Nil),
            (&[0xc3], Value::Bool(true)),
            (&[0xca, 0x3f, 0xc0, 0, 0], Value::Float(1.5)),
            (&[0xa2, b'a', b'b'], text("ab")),
            (&[0xd9, 1, b'c'], text("c")),
            (&[0xc4, 1, b'c'], text("c")),
            (
                &[0x92, 1, 2],
                Value::List(vec![Value::Int(1), Value::Int(2)]),
            ),
            (&[0xdc, 0, 1, 3], Value::List(vec![Value::Int(3)])),
            (
                &[0x81, 0xa1, b'k', 4],
                Value::Map(vec![(text("k"), Value::Int(4))]),
            ),
            (&[0xd5, 8, 1, 2], Value::Extension(8, &[1, 2])),
        ];
        for (bytes, value) in cases {
            assert_eq!(parse(bytes), Ok(value), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let nested = [0x91; 80];
        for (bytes, what) in [
            ([0xa2, b'a'].as_slice(), "ends in the middle"),
            (&[0x01, 0x02], "1 bytes follow"),
            (&[0xc1], "0xC1"),
            (&[0xdd, 0xff, 0xff, 0xff, 0xff], "ends in the middle"),
            (&[0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0], "too large"),
            (&nested, "deep"),
        ] {
            let error = parse(bytes).expect_err(what);
            assert!(error.contains(what), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
