//! Members of a zip archive (APPNOTE 6.3.10), by its central directory: stored or deflated ones, of less than 4 GiB.

use flate2::CrcReader;
use flate2::read::DeflateDecoder;
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes and begin of the record that ends an archive (section 4.3.16); a comment may follow.
const END: (usize, [u8; 4]) = (22, *b"PK\x05\x06");
/// The same of an entry of the central directory (4.3.12).
const ENTRY: (usize, [u8; 4]) = (46, *b"PK\x01\x02");
/// The same of the head that stands before a member (4.3.7).
const LOCAL: (usize, [u8; 4]) = (30, *b"PK\x03\x04");
/// The most bytes of a comment.
const MOST_COMMENT: u64 = u16::MAX as u64;

/// The members of an archive, entry by entry.
pub(super) struct ZipMembers<F> {
    file: F,
    /// The central directory, and the bytes of it that are read.
    directory: Vec<u8>,
    read: usize,
}

/// An entry of the central directory.
pub(super) struct ZipMember {
    pub(super) name: String,
    is_encrypted: bool,
    method: u16,
    crc: u32,
    packed: u32,
    size: u32,
    place: u32,
}

impl<F: Read + Seek> ZipMembers<F> {
    /// Reads the central directory.
    pub(super) fn open(mut file: F) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        let tail_at = length.saturating_sub(END.0 as u64 + MOST_COMMENT);
        let tail = bytes_at(&mut file, tail_at, length - tail_at)?;
        let ends = tail
            .windows(END.0)
            .rposition(|window| window.starts_with(&END.1));
        let end = ends.ok_or_else(|| bad("it has no end of a zip archive"))?;
        let record = &tail[end..];
        let (size, place) = (u64::from(u32_at(record, 12)), u64::from(u32_at(record, 16)));
        if place + size > tail_at + end as u64 {
            return Err(bad("its directory is not where it should be"));
        }
        let directory = bytes_at(&mut file, place, size)?;
        Ok(Self {
            file,
            directory,
            read: 0,
        })
    }

    /// The next entry, or none at the end of the directory.
    pub(super) fn next_member(&mut self) -> io::Result<Option<ZipMember>> {
        let rest = &self.directory[self.read..];
        if rest.is_empty() {
            return Ok(None);
        }
        if rest.len() < ENTRY.0 || !rest.starts_with(&ENTRY.1) {
            return Err(bad("its directory is damaged"));
        }
        let length = |at| usize::from(u16_at(rest, at));
        let name_end = ENTRY.0 + length(28);
        let end = name_end + length(30) + length(32);
        if rest.len() < end {
            return Err(bad("its directory is cut off"));
        }
        let member = ZipMember {
            name: String::from_utf8_lossy(&rest[ENTRY.0..name_end]).into_owned(),
            is_encrypted: u16_at(rest, 8) & 1 == 1,
            method: u16_at(rest, 10),
            crc: u32_at(rest, 16),
            packed: u32_at(rest, 20),
            size: u32_at(rest, 24),
            place: u32_at(rest, 42),
        };
        self.read += end;
        Ok(Some(member))
    }

    /// The contents of a member, held to its length and checksum where they end.
    pub(super) fn stream(&mut self, member: &ZipMember) -> io::Result<Checked<Box<dyn Read + '_>>> {
        let place = u64::from(member.place);
        let head = bytes_at(&mut self.file, place, LOCAL.0 as u64)?;
        if !head.starts_with(&LOCAL.1) {
            return Err(bad(&format!("`{}` is not where it should be", member.name)));
        }
        let names = u64::from(u16_at(&head, 26)) + u64::from(u16_at(&head, 28));
        self.file
            .seek(SeekFrom::Start(place + LOCAL.0 as u64 + names))?;
        let packed = self.file.by_ref().take(member.packed.into());
        let stream: Box<dyn Read + '_> = match member.method {
            _ if member.is_encrypted => return Err(bad("it is encrypted")),
            0 => Box::new(packed),
            8 => Box::new(DeflateDecoder::new(packed)),
            method => {
                let what = format!("`{}` is compressed by method {method}", member.name);
                return Err(bad(&what));
            }
        };
        Ok(Checked {
            stream: CrcReader::new(stream),
            crc: member.crc,
            size: member.size,
        })
    }
}

/// A stream that fails where it ends otherwise than its entry says.
pub(super) struct Checked<R> {
    stream: CrcReader<R>,
    crc: u32,
    size: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        let crc = self.stream.crc();
        if read == 0 && !buffer.is_empty() && (crc.sum(), crc.amount()) != (self.crc, self.size) {
            return Err(bad("its length or checksum is of other contents"));
        }
        Ok(read)
    }
}

fn bytes_at(file: &mut (impl Read + Seek), place: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(place))?;
    let mut bytes = Vec::new();
    let read = file.take(length).read_to_end(&mut bytes)?;
    if (read as u64) < length {
        return Err(bad("it ends early"));
    }
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
