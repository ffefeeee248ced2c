//! The one way to a file of data: ordinary files only, as much as memory holds, and a request to stop is
//! looked at all the while.

use super::DataError;
use super::zstd::ZstdReader;
use flate2::read::MultiGzDecoder;
use moe_checkpoint::{disk, memory};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes between two looks at the request to stop.
const STEP: u64 = 1 << 20;

/// Ends what is going on if it was asked to.
pub(super) fn check_stop(stop: &AtomicBool) -> Result<(), DataError> {
    if stop.load(Ordering::Relaxed) {
        return Err(DataError::Interrupted);
    }
    Ok(())
}

/// Refuses a size that memory does not hold. Sizes from files are products, hence `u128`.
pub(super) fn check_memory(path: &Path, needed: u128) -> Result<(), DataError> {
    let available = memory::available();
    if needed > available.into() {
        return Err(DataError::Memory {
            path: path.into(),
            needed,
            available,
        });
    }
    Ok(())
}

/// How a file is compressed, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "gz" => Some(Self::Gzip),
            "zst" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// A file that is read from start to end.
pub(super) struct Source<'a> {
    path: &'a Path,
    reader: Box<dyn Read>,
    /// Its bytes on disk.
    length: u64,
    stop: &'a AtomicBool,
}

impl<'a> Source<'a> {
    /// Opens a file as it lies there.
    pub(super) fn plain(path: &'a Path, stop: &'a AtomicBool) -> Result<Self, DataError> {
        let (file, length) = open(path)?;
        let reader = Box::new(file);
        Ok(Self {
            path,
            reader,
            length,
            stop,
        })
    }

    /// Opens a file, one whose name ends in `.gz` or `.zst` as what it holds: the contents of all its members
    /// or frames.
    pub(super) fn unpacked(path: &'a Path, stop: &'a AtomicBool) -> Result<Self, DataError> {
        let Some(packing) = Packing::of(path) else {
            return Self::plain(path, stop);
        };
        let (file, length) = open(path)?;
        let file = BufReader::new(file);
        let reader: Box<dyn Read> = match packing {
            Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
            Packing::Zstd => Box::new(ZstdReader::new(file)),
        };
        Ok(Self {
            path,
            reader,
            length,
            stop,
        })
    }

    /// The next bytes: `most` of them, or fewer where the file ends.
    pub(super) fn next(&mut self, most: u128) -> Result<Vec<u8>, DataError> {
        let capacity = most.min(self.length.into()).min(memory::available().into());
        let mut bytes = Vec::with_capacity(capacity as usize);
        loop {
            check_stop(self.stop)?;
            let rest = (most - bytes.len() as u128).min(STEP.into()) as u64;
            let taken = self.reader.by_ref().take(rest).read_to_end(&mut bytes);
            let taken = taken.map_err(|source| io_error(self.path, source))?;
            if (taken as u64) < rest || bytes.len() as u128 == most {
                return Ok(bytes);
            }
            if bytes.len() == bytes.capacity() {
                // about to grow to twice as much
                check_memory(self.path, 2 * bytes.len() as u128)?;
            }
        }
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> Result<Vec<u8>, DataError> {
        check_memory(self.path, self.length.into())?;
        self.next(u128::MAX)
    }
}

fn open(path: &Path) -> Result<(File, u64), DataError> {
    let file = disk::open_regular(path).map_err(|source| io_error(path, source))?;
    let metadata = file.metadata().map_err(|source| io_error(path, source))?;
    Ok((file, metadata.len()))
}

/// The system's refusal of a file.
pub(super) fn io_error(path: &Path, source: std::io::Error) -> DataError {
    DataError::Io {
        action: "read",
        path: path.into(),
        source,
    }
}

/// A file that holds text: without the mark of byte order that it may begin with, and refused if it
/// cannot be text in UTF-8.
pub(super) fn read_text_bytes(path: &Path, stop: &AtomicBool) -> Result<Vec<u8>, DataError> {
    text_bytes(path, Source::unpacked(path, stop)?.rest()?)
}

fn text_bytes(path: &Path, mut bytes: Vec<u8>) -> Result<Vec<u8>, DataError> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(DataError::Utf16 { path: path.into() });
    }
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        return Err(DataError::NulByte {
            path: path.into(),
            offset,
        });
    }
    Ok(bytes)
}

/// As [`read_text_bytes`], checked to be UTF-8.
pub(super) fn read_text(path: &Path, stop: &AtomicBool) -> Result<String, DataError> {
    utf8(path, read_text_bytes(path, stop)?)
}

/// The text that a file or a member of an archive holds, under the same rules.
pub(super) fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, DataError> {
    utf8(path, text_bytes(path, bytes)?)
}

fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String, DataError> {
    String::from_utf8(bytes).map_err(|error| DataError::InvalidUtf8 {
        path: path.into(),
        offset: error.utf8_error().valid_up_to(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Reads a file of these bytes.
    fn read(name: &str, bytes: &[u8]) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let text = read_text(&path, &AtomicBool::new(false));
        text.map_err(|error| error.to_string())
    }

    #[test]
    fn a_mark_of_byte_order_is_no_text() {
        assert_eq!(read("a.txt", b"\xEF\xBB\xBFone").unwrap(), "one");
        assert_eq!(read("a.txt.gz", &gzip(b"\xEF\xBB\xBFone")).unwrap(), "one");
        // elsewhere it is a character
        assert_eq!(read("a", "a\u{FEFF}".as_bytes()).unwrap(), "a\u{FEFF}");
        for bytes in [b"\xFF\xFEa\0", b"\xFE\xFF\0a"] {
            let error = read("a.txt", bytes).unwrap_err();
            assert!(error.contains("iconv -f utf-16 -t utf-8"), "{error}");
        }
        let error = read("a.txt", b"a\0b\0").unwrap_err();
        assert!(error.contains("a NUL at byte 1"), "{error}");
    }

    #[test]
    fn all_members_of_a_gzip_file_are_read_and_nothing_else_may_follow() {
        let two = [gzip(b"one, "), gzip(b"two")].concat();
        assert_eq!(read("a.gz", &two).unwrap(), "one, two");
        for tail in [
            &b"x"[..],
            b"\x1f",
            b"\x1f\x8b",
            b"garbage that is long enough",
        ] {
            let error = read("a.gz", &[&two, tail].concat()).unwrap_err();
            assert!(error.contains("a.gz"), "{error}");
        }
        for cut in 1..two.len() {
            // between the members there is a whole file
            let whole = cut == gzip(b"one, ").len();
            assert_eq!(read("a.gz", &two[..cut]).is_ok(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn all_frames_of_a_zstd_file_are_read_and_nothing_else_may_follow() {
        use ruzstd::encoding::{CompressionLevel, compress_to_vec};
        let zstd = |text: &str| compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
        let long = "A frame of more than one block. ".repeat(20_000);
        // frames that say how long they are and are to be passed over: RFC 8878, section 3.1.2
        let skipped = [&b"\x50\x2A\x4D\x18\x03\0\0\0"[..], b"abc"].concat();
        let all = [zstd("one, "), skipped.clone(), zstd(&long)].concat();
        assert_eq!(read("a.txt.zst", &all).unwrap(), format!("one, {long}"));
        assert_eq!(read("a.ZST", &zstd("\u{FEFF}one")).unwrap(), "one");
        for tail in [
            &b"x"[..],
            b"\x28\xB5\x2F",
            b"garbage that is long enough",
            &skipped[..9],
        ] {
            let error = read("a.zst", &[&zstd("one"), tail].concat()).unwrap_err();
            assert!(error.contains("a.zst"), "{error}");
        }
        let first = zstd("one, ").len();
        for cut in 1..all.len().min(300) {
            let whole = cut == first || cut == first + skipped.len();
            assert_eq!(read("a.zst", &all[..cut]).is_ok(), whole, "cut at {cut}");
        }
        assert!(read("a.zst", &all[..all.len() - 1]).is_err());
    }

    #[test]
    fn reading_ends_when_it_is_asked_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "text").unwrap();
        let error = read_text(&path, &AtomicBool::new(true)).unwrap_err();
        assert!(matches!(error, DataError::Interrupted), "{error}");
    }

    #[test]
    fn a_size_that_memory_does_not_hold_is_refused() {
        check_memory(Path::new("a"), 1 << 20).unwrap();
        let error = check_memory(Path::new("a"), u128::MAX).unwrap_err();
        assert!(error.to_string().contains("`a` needs"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_ordinary_file_is_refused_at_once() {
        for path in ["/dev/zero", "/dev/null", "/"] {
            let error = read_text(Path::new(path), &AtomicBool::new(false)).unwrap_err();
            assert!(error.to_string().contains(path), "{error}");
        }
    }

    #[test]
    fn a_head_is_read_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gz");
        std::fs::write(&path, gzip(&[7; 1000])).unwrap();
        let stop = AtomicBool::new(false);
        let mut source = Source::unpacked(&path, &stop).unwrap();
        assert_eq!(source.next(4).unwrap(), [7; 4]);
        assert_eq!(source.next(996).unwrap().len(), 996);
        assert!(source.next(1).unwrap().is_empty());
    }
}
