//! The IDX format of MNIST: four bytes of magic (0, 0, type, number of axes), each axis as a big-endian
//! 32-bit number, then the values. Files of bytes are read, plain or compressed by gzip.

use super::ImageError;
use crate::data::DataError;
use crate::data::read::{Source, check_memory};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

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
    /// Reads a file of `n_axes` axes; one whose name ends in `.gz` is decompressed. Its head is read first,
    /// and then no more than that promises.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, begins otherwise, or is shorter or longer than its head says; a request
    /// to stop.
    pub fn read(
        path: &Path,
        what: &'static str,
        n_axes: u8,
        stop: &AtomicBool,
    ) -> Result<Self, DataError> {
        let mut source = Source::unpacked(path, stop)?;
        let n_head = 4 + 4 * u128::from(n_axes);
        let dims = parse_head(path, &source.next(n_head)?, what, n_axes)?;
        let n_values = dims
            .iter()
            .try_fold(1u128, |product, &dim| product.checked_mul(dim.into()));
        let n_values = n_values.unwrap_or(u128::MAX >> 1);
        check_memory(path, n_values)?;
        let values = source.next(n_values + 1)?;
        if values.len() as u128 != n_values {
            let more = values.len() as u128 > n_values;
            return Err(ImageError::Length {
                path: path.into(),
                found: if more {
                    format!("more than {}", n_head + n_values)
                } else {
                    (n_head + values.len() as u128).to_string()
                },
                expected: n_head + n_values,
            }
            .into());
        }
        Ok(Self {
            path: path.into(),
            dims: dims.into_iter().map(|dim| dim as usize).collect(),
            values,
        })
    }
}

/// The axes of a head, which must be that of a file of bytes with `n_axes` axes.
fn parse_head(
    path: &Path,
    head: &[u8],
    what: &'static str,
    n_axes: u8,
) -> Result<Vec<u32>, ImageError> {
    let magic = [0, 0, UNSIGNED_BYTE, n_axes];
    if !head.starts_with(&magic) {
        return Err(ImageError::Magic {
            path: path.into(),
            found: spelled(&head[..head.len().min(4)]),
            what,
            expected: spelled(&magic),
        });
    }
    let n_head = 4 + 4 * usize::from(n_axes);
    if head.len() < n_head {
        return Err(ImageError::Length {
            path: path.into(),
            found: head.len().to_string(),
            expected: n_head as u128,
        });
    }
    let axes = head[4..].chunks_exact(4);
    Ok(axes
        .map(|axis| u32::from_be_bytes([axis[0], axis[1], axis[2], axis[3]]))
        .collect())
}

fn spelled(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    bytes.join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    /// Reads a file of these bytes, which is `a` in messages.
    fn parse(bytes: &[u8], n_axes: u8) -> Result<IdxFile, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, bytes).unwrap();
        let file = IdxFile::read(&path, "labels", n_axes, &AtomicBool::new(false));
        let folder = format!("{}/", dir.path().display());
        file.map_err(|error| error.to_string().replace(&folder, ""))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn axes_are_big_endian() {
        let file = parse(&[0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9], 1).unwrap();
        assert_eq!((file.dims, file.values), (vec![3], vec![7, 8, 9]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(
            parse(&[0, 0, 8, 3, 0], 1).unwrap_err(),
            "`a` begins with 00 00 08 03, but an IDX file of labels begins with 00 00 08 01; it is another file, or damaged"
        );
        assert!(parse(&[], 1).unwrap_err().contains("begins with nothing"));
        assert_eq!(
            parse(&[0, 0, 8, 1, 0, 0, 0, 3, 7], 1).unwrap_err(),
            "`a` has 9 bytes, but its head promises 11; copy it again, it is cut off or damaged"
        );
        assert!(
            parse(&[0, 0, 8, 1, 0], 1)
                .unwrap_err()
                .contains("promises 8")
        );
        let long = parse(&[0, 0, 8, 1, 0, 0, 0, 1, 7, 8], 1).unwrap_err();
        assert!(
            long.contains("has more than 9 bytes, but its head promises 9"),
            "{long}"
        );
        // 2^96 values
        let huge = [&[0, 0, 8, 3][..], &[0xFF; 12]].concat();
        assert!(parse(&huge, 3).unwrap_err().contains("`a` needs"));
    }

    #[test]
    fn compressed_files_are_read_as_plain_ones() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = [0, 0, 8, 1, 0, 0, 0, 1, 5];
        let (plain, gz) = (folder.path().join("a"), folder.path().join("a.gz"));
        std::fs::write(&plain, bytes).unwrap();
        std::fs::write(&gz, gzip(&bytes)).unwrap();
        let stop = AtomicBool::new(false);
        let read = |path| IdxFile::read(path, "labels", 1, &stop);
        for path in [&plain, &gz] {
            assert_eq!(read(path).unwrap().values, [5]);
        }
        let members = [gzip(&bytes[..5]), gzip(&bytes[5..])].concat();
        std::fs::write(&gz, &members).unwrap();
        assert_eq!(read(&gz).unwrap().values, [5]);
        for broken in [
            &members[..members.len() / 2],
            &[&members[..], b"garbage"].concat(),
        ] {
            std::fs::write(&gz, broken).unwrap();
            let error = read(&gz).unwrap_err().to_string();
            assert!(error.contains("a.gz"), "{error}");
        }
    }

    #[test]
    fn a_small_file_that_holds_a_large_one_is_refused_by_its_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gz");
        let mut bytes = vec![0, 0, 8, 1, 0, 0, 0, 1];
        bytes.resize(64 << 20, 0);
        std::fs::write(&path, gzip(&bytes)).unwrap();
        let error = IdxFile::read(&path, "labels", 1, &AtomicBool::new(false)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("more than 9 bytes"), "{text}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), axes in 0u8..6) {
            let mut file = vec![0, 0, 8, axes];
            file.extend(bytes);
            if let Ok(idx) = parse(&file, axes) {
                prop_assert_eq!(idx.values.len(), idx.dims.iter().product::<usize>());
            }
        }
    }
}
