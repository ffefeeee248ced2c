//! The IDX format of MNIST: four bytes of magic (0, 0, type, number of axes), each axis as a big-endian
//! 32-bit number, then the values. Files of bytes are read, plain or compressed by gzip.

use super::ImageError;
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The type of a value that is one byte without sign.
const UNSIGNED_BYTE: u8 = 8;

/// A file of bytes with its axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxFile {
    /// The file.
    pub path: PathBuf,
    /// The length of each axis.
    pub dims: Vec<usize>,
    /// The values, the last axis innermost.
    pub values: Vec<u8>,
}

impl IdxFile {
    /// Reads a file of `n_axes` axes; one whose name ends in `.gz` is decompressed.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, begins otherwise, or is shorter or longer than its head says.
    pub fn read(path: &Path, what: &'static str, n_axes: u8) -> Result<Self, ImageError> {
        let unreadable = |source| ImageError::Unreadable {
            path: path.into(),
            source,
        };
        let file = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut bytes = Vec::new();
        if path.extension().is_some_and(|extension| extension == "gz") {
            GzDecoder::new(file).read_to_end(&mut bytes)
        } else {
            { file }.read_to_end(&mut bytes)
        }
        .map_err(unreadable)?;
        Self::parse(path, bytes, what, n_axes)
    }

    fn parse(
        path: &Path,
        mut bytes: Vec<u8>,
        what: &'static str,
        n_axes: u8,
    ) -> Result<Self, ImageError> {
        let magic = [0, 0, UNSIGNED_BYTE, n_axes];
        if bytes.len() < 4 || bytes[..4] != magic {
            return Err(ImageError::Magic {
                path: path.into(),
                found: spelled(&bytes[..bytes.len().min(4)]),
                what,
                expected: spelled(&magic),
            });
        }
        let length = |expected| ImageError::Length {
            path: path.into(),
            found: bytes.len() as u64,
            expected,
        };
        let n_head = 4 + 4 * usize::from(n_axes);
        if bytes.len() < n_head {
            return Err(length(n_head as u64));
        }
        let dims: Vec<u32> = bytes[4..n_head]
            .chunks_exact(4)
            .map(|axis| u32::from_be_bytes([axis[0], axis[1], axis[2], axis[3]]))
            .collect();
        let n_values = dims
            .iter()
            .try_fold(1u64, |product, &dim| product.checked_mul(dim.into()));
        let expected = n_values.and_then(|n| n.checked_add(n_head as u64));
        if expected != Some(bytes.len() as u64) {
            return Err(length(expected.unwrap_or(u64::MAX)));
        }
        Ok(Self {
            path: path.into(),
            dims: dims.into_iter().map(|dim| dim as usize).collect(),
            values: bytes.split_off(n_head),
        })
    }
}

fn spelled(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match bytes.is_empty() {
        true => "nothing".to_owned(),
        false => bytes.join(" "),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn parse(bytes: &[u8]) -> Result<IdxFile, String> {
        IdxFile::parse(Path::new("a"), bytes.to_vec(), "labels", 1).map_err(|e| e.to_string())
    }

    #[test]
    fn axes_are_big_endian() {
        let file = parse(&[0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]).unwrap();
        assert_eq!((file.dims, file.values), (vec![3], vec![7, 8, 9]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(
            parse(&[0, 0, 8, 3, 0]).unwrap_err(),
            "`a` begins with 00 00 08 03, but an IDX file of labels begins with 00 00 08 01; it is another file, or damaged"
        );
        assert!(parse(&[]).unwrap_err().contains("begins with nothing"));
        assert_eq!(
            parse(&[0, 0, 8, 1, 0, 0, 0, 3, 7]).unwrap_err(),
            "`a` has 9 bytes, but its head promises 11; copy it again, it is cut off or damaged"
        );
        assert!(parse(&[0, 0, 8, 1, 0]).unwrap_err().contains("promises 8"));
    }

    #[test]
    fn compressed_files_are_read_as_plain_ones() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = [0, 0, 8, 1, 0, 0, 0, 1, 5];
        let (plain, gz) = (folder.path().join("a"), folder.path().join("a.gz"));
        std::fs::write(&plain, bytes).unwrap();
        let file = File::create(&gz).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap();
        for path in [&plain, &gz] {
            assert_eq!(IdxFile::read(path, "labels", 1).unwrap().values, [5]);
        }
        let half = std::fs::read(&gz).unwrap();
        std::fs::write(&gz, &half[..half.len() / 2]).unwrap();
        let error = IdxFile::read(&gz, "labels", 1).unwrap_err().to_string();
        assert!(
            error.contains("cannot read") && error.contains("a.gz"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), axes in 0u8..6) {
            let mut file = vec![0, 0, 8, axes];
            file.extend(bytes);
            if let Ok(idx) = IdxFile::parse(Path::new("a"), file, "images", axes) {
                prop_assert_eq!(idx.values.len(), idx.dims.iter().product::<usize>());
            }
        }
    }
}
