//! The bytes before the tensors of a GGUF file, read as far as they are needed.

use super::error::{Fault, damaged};
use std::io::Read;
use std::ops::Range;

/// Bytes that are read at least at a time.
const CHUNK: usize = 1 << 16;

/// A file of known length, and its bytes up to where it was read. No length that the file states is believed
/// before it is known to lie inside.
#[derive(Debug)]
pub(super) struct Reader<R> {
    file: R,
    length: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl<R: Read> Reader<R> {
    /// Begins at the start of a file of `length` bytes.
    pub(super) fn new(file: R, length: u64) -> Self {
        Self {
            file,
            length,
            bytes: Vec::new(),
            at: 0,
        }
    }

    /// The place of the next byte.
    pub(super) fn at(&self) -> u64 {
        self.at as u64
    }

    /// The bytes that were read, of which ranges were returned.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: u64) -> Result<Range<usize>, Fault> {
        let rest = self.length.saturating_sub(self.at());
        if n > rest {
            let at = self.at;
            return damaged(format!(
                "at byte {at} it should have {n} more, and it has {rest}"
            ));
        }
        let end = self.at + n as usize;
        if end > self.bytes.len() {
            let more = (end - self.bytes.len()).max(CHUNK) as u64;
            (&mut self.file).take(more).read_to_end(&mut self.bytes)?;
        }
        if end > self.bytes.len() {
            return damaged("it has become shorter since it was opened");
        }
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    /// The next `N` bytes themselves.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let range = self.take(N as u64)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[range]);
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    /// A text behind its length; it is UTF-8.
    pub(super) fn text(&mut self) -> Result<Range<usize>, Fault> {
        let (at, length) = (self.at, self.u64()?);
        let range = self.take(length)?;
        match std::str::from_utf8(&self.bytes[range.clone()]) {
            Ok(_) => Ok(range),
            Err(_) => damaged(format!("the text at byte {at} is not UTF-8")),
        }
    }

    /// A text that names something.
    pub(super) fn name(&mut self) -> Result<String, Fault> {
        let range = self.text()?;
        Ok(String::from_utf8_lossy(&self.bytes[range]).into_owned())
    }
}
