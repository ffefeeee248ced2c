//! The header of a GGUF file (`docs/gguf.md` of ggml), versions 2 and 3: values by keys, and where its tensors lie.

use super::blocks::BlockType;
use super::error::{Fault, GgufError, damaged, unsupported};
use super::metadata::{self, Metadata};
use super::reader::Reader;
use crate::disk::open_regular;
use crate::pointer::LFS_PREFIX;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The first bytes of a file.
const MAGIC: &[u8; 4] = b"GGUF";

/// More keys are taken for damage: files have some dozens.
const MOST_KEYS: u64 = 1 << 16;

/// More tensors are taken for damage: the largest models have some thousands, as experts are merged.
const MOST_TENSORS: u64 = 1 << 16;

/// The most axes of a tensor.
const MOST_AXES: u32 = 4;

/// Multiple that tensors are placed at, if the file does not say.
const ALIGNMENT: u64 = 32;

/// A tensor in the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    /// The type of its values.
    pub(super) kind: BlockType,
    /// Its shape, the axis of neighbours last.
    pub(super) shape: Vec<usize>,
    /// Place of its first byte in the file.
    pub(super) start: u64,
    /// The number of its bytes.
    pub(super) n_bytes: usize,
}

impl Stored {
    /// The i-th of `n` equal parts along the first axis.
    pub(super) fn part(&self, i: usize, n: usize) -> Self {
        let n_bytes = self.n_bytes / n;
        Self {
            kind: self.kind,
            shape: self.shape[1..].to_vec(),
            start: self.start + (i * n_bytes) as u64,
            n_bytes,
        }
    }
}

/// The header of a file.
#[derive(Debug)]
pub(crate) struct Gguf {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
    /// The tensors by the names of the file.
    pub(super) tensors: BTreeMap<String, Stored>,
}

/// Tells whether a path names a GGUF file.
pub fn is_gguf(path: &Path) -> bool {
    let kind = path.extension();
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("gguf")) && path.is_file()
}

impl Gguf {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self, GgufError> {
        let opened = open_regular(path).map_err(|error| Fault::File(error).at(path))?;
        Self::read(path, &opened)
    }

    /// Reads the header of an open file.
    pub(crate) fn read(path: &Path, file: &File) -> Result<Self, GgufError> {
        let length = file.metadata().map_err(|error| Fault::File(error).at(path));
        let header = header(file, length?.len()).map_err(|fault| fault.at(path))?;
        let (metadata, tensors) = header;
        Ok(Self {
            path: path.to_owned(),
            metadata,
            tensors,
        })
    }
}

/// A tensor as the header has it.
struct Info {
    name: String,
    kind: BlockType,
    shape: Vec<usize>,
    /// Counted from the first byte of the data.
    offset: u64,
    n_bytes: u64,
}

type Header = (Metadata, BTreeMap<String, Stored>);

fn header(file: impl Read, length: u64) -> Result<Header, Fault> {
    let mut reader = Reader::new(file, length);
    check_version(&mut reader)?;
    let (n_tensors, n_keys) = (reader.u64()?, reader.u64()?);
    if n_tensors > MOST_TENSORS || n_keys > MOST_KEYS {
        return damaged(format!("it states {n_tensors} tensors and {n_keys} keys"));
    }
    let keys = metadata::read(&mut reader, n_keys)?;
    let infos = (0..n_tensors).map(|_| info(&mut reader));
    let infos = infos.collect::<Result<Vec<_>, _>>()?;
    let end = reader.at();
    let metadata = keys.with_bytes(reader.into_bytes());
    let alignment = metadata.whole("general.alignment").unwrap_or(ALIGNMENT);
    if !alignment.is_power_of_two() || alignment > 1 << 20 {
        return damaged(format!("general.alignment is {alignment}"));
    }
    let start = end.next_multiple_of(alignment);
    check_places(&infos, alignment, length.saturating_sub(start))?;
    let mut tensors = BTreeMap::new();
    for info in infos {
        let stored = Stored {
            kind: info.kind,
            shape: info.shape,
            start: start + info.offset,
            n_bytes: info.n_bytes as usize,
        };
        if tensors.insert(info.name.clone(), stored).is_some() {
            return damaged(format!("it has the tensor {} twice", info.name));
        }
    }
    Ok((metadata, tensors))
}

fn check_version<R: Read>(reader: &mut Reader<R>) -> Result<(), Fault> {
    let magic = reader.array::<4>()?;
    if LFS_PREFIX.starts_with(&magic) {
        return Err(Fault::Pointer);
    }
    if magic != *MAGIC {
        return damaged("it does not begin with GGUF");
    }
    match reader.u32()? {
        2 | 3 => Ok(()),
        1 => unsupported("GGUF version 1 is not read; convert the model anew with llama.cpp"),
        version if version.swap_bytes() <= 3 => {
            unsupported("files with the high bytes first are not read; convert the model anew")
        }
        version => unsupported(format!("GGUF version {version} is not known; 2 and 3 are")),
    }
}

fn info<R: Read>(reader: &mut Reader<R>) -> Result<Info, Fault> {
    let name = reader.name()?;
    let n_axes = reader.u32()?;
    if n_axes > MOST_AXES {
        return damaged(format!("the tensor {name} has {n_axes} axes"));
    }
    let sizes = (0..n_axes).map(|_| reader.u64());
    let mut sizes = sizes.collect::<Result<Vec<u64>, _>>()?;
    sizes.reverse(); // the axis of neighbours comes first in the file
    let id = reader.u32()?;
    let offset = reader.u64()?;
    let Some(kind) = BlockType::of_id(id) else {
        let known = BlockType::ALL.map(BlockType::name).join(", ");
        return unsupported(format!(
            "the tensor {name} is of type {}, and types that are read are {known}: take another file of the \
             model, or quantise it anew",
            type_name(id)
        ));
    };
    let row = sizes.last().copied().unwrap_or(1);
    let n_values = sizes.iter().try_fold(1u64, |n, size| n.checked_mul(*size));
    let n_bytes =
        n_values.and_then(|n| (n / kind.n_values() as u64).checked_mul(kind.n_bytes() as u64));
    match n_bytes {
        Some(n_bytes) if row.is_multiple_of(kind.n_values() as u64) && n_bytes > 0 => Ok(Info {
            name,
            kind,
            shape: sizes.iter().map(|size| *size as usize).collect(),
            offset,
            n_bytes,
        }),
        _ => damaged(format!(
            "the tensor {name} of type {} is of the shape {sizes:?}",
            kind.name()
        )),
    }
}

/// Names of types that are not decoded here.
fn type_name(id: u32) -> String {
    let known = [
        (6, "Q5_0"),
        (7, "Q5_1"),
        (9, "Q8_1"),
        (10, "Q2_K"),
        (11, "Q3_K"),
        (13, "Q5_K"),
        (15, "Q8_K"),
        (16, "IQ2_XXS"),
        (17, "IQ2_XS"),
        (18, "IQ3_XXS"),
        (19, "IQ1_S"),
        (20, "IQ4_NL"),
        (21, "IQ3_S"),
        (22, "IQ2_S"),
        (23, "IQ4_XS"),
        (29, "IQ1_M"),
        (34, "TQ1_0"),
        (35, "TQ2_0"),
        (39, "MXFP4"),
    ];
    let found = known.iter().find(|(other, _)| *other == id);
    found.map_or_else(|| format!("number {id}"), |(_, name)| (*name).to_owned())
}

/// Checks that tensors lie inside of `length` bytes, at multiples of the alignment, and not on one another.
fn check_places(infos: &[Info], alignment: u64, length: u64) -> Result<(), Fault> {
    let mut infos: Vec<&Info> = infos.iter().collect();
    infos.sort_by_key(|info| info.offset);
    let mut next = 0;
    for info in infos {
        let name = &info.name;
        if !info.offset.is_multiple_of(alignment) {
            return damaged(format!(
                "the tensor {name} is not at a multiple of {alignment} bytes"
            ));
        }
        if info.offset < next {
            return damaged(format!("the tensor {name} lies on another"));
        }
        let end = info.offset.checked_add(info.n_bytes);
        next = match end.filter(|end| *end <= length) {
            Some(end) => end,
            None => return damaged(format!("the tensor {name} ends behind the end of the file")),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor by name, type, sizes with that of neighbours first, and offset.
    type Written<'a> = (&'a str, u32, &'a [u64], u64);

    /// A file of tensors, and `n` bytes of data.
    fn file(tensors: &[Written<'_>], n: usize) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3u32.to_le_bytes());
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        for (name, kind, sizes, offset) in tensors {
            bytes.extend((name.len() as u64).to_le_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend((sizes.len() as u32).to_le_bytes());
            sizes
                .iter()
                .for_each(|size| bytes.extend(size.to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32) + n, 0);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Header, String> {
        let length = bytes.len() as u64;
        header(bytes, length).map_err(|fault| fault.at(Path::new("x.gguf")).to_string())
    }

    #[test]
    fn tensors_have_places_and_shapes() {
        let bytes = file(&[("a", 0, &[3, 2], 0), ("b", 8, &[32, 2], 32)], 32 + 68);
        let (_, tensors) = read(&bytes).expect("two tensors");
        let start = bytes.len() as u64 - 100;
        assert_eq!(
            tensors["a"],
            Stored {
                kind: BlockType::F32,
                shape: vec![2, 3],
                start,
                n_bytes: 24
            }
        );
        let second = tensors["b"].part(1, 2);
        assert_eq!((second.start, second.n_bytes), (start + 32 + 34, 34));
        assert_eq!(second.shape, [32]);
    }

    #[test]
    fn places_that_cannot_be_are_refused() {
        let large = 1 << 40;
        let cases: [(&[Written<'_>], &str); 9] = [
            (&[("a", 0, &[3], 32)], "behind the end"),
            (&[("a", 0, &[3], u64::MAX - 31)], "behind the end"),
            (&[("a", 0, &[3], 4)], "multiple of 32"),
            (&[("a", 0, &[9], 0), ("b", 0, &[1], 32)], "lies on another"),
            (&[("a", 0, &[1], 0), ("a", 0, &[1], 32)], "a twice"),
            (&[("a", 2, &[33], 0)], "[33]"),
            (&[("a", 0, &[large, large], 0)], "[1099511627776"),
            (&[("a", 0, &[0], 0)], "[0]"),
            (&[("a", 13, &[256], 0)], "type Q5_K"),
        ];
        for (tensors, expected) in cases {
            let error = read(&file(tensors, 36)).expect_err(expected);
            assert!(
                error.contains("x.gguf") && error.contains(expected),
                "{error}"
            );
        }
    }

    #[test]
    fn other_versions_are_named() {
        let mut bytes = file(&[], 0);
        read(&bytes).expect("no tensor");
        for (version, expected) in [
            ([1, 0, 0, 0], "version 1"),
            ([9, 0, 0, 0], "version 9"),
            ([0, 0, 0, 3], "high bytes first"),
        ] {
            bytes[4..8].copy_from_slice(&version);
            let error = read(&bytes).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
        bytes[0] = b'g';
        let error = read(&bytes).expect_err("another format");
        assert!(error.contains("does not begin with GGUF"), "{error}");
        read(b"GGUF").expect_err("nothing more");
        let error = read(LFS_PREFIX).expect_err("a pointer");
        assert!(error.contains("git lfs pull"), "{error}");
    }

    #[test]
    fn counts_are_not_believed() {
        let mut bytes = file(&[], 0);
        for at in [8, 16] {
            bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
            read(&bytes).expect_err("there are fewer");
            bytes[at..at + 8].copy_from_slice(&1000u64.to_le_bytes());
            read(&bytes).expect_err("there are fewer");
            bytes[at..at + 8].fill(0);
        }
    }
}
