//! The members of archives, in bounded memory. Nothing is unpacked to the disk, so that names lead nowhere.

use super::CorpusError;
use super::zip::ZipMembers;
use crate::data::DataError;
use crate::data::read::{check_memory, check_stop, io_error, text_of};
use crate::data::zstd::ZstdReader;
use flate2::read::MultiGzDecoder;
use moe_checkpoint::disk::open_regular;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tar::{EntryType, PaxExtensions};

/// The most that is read of an archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of a member.
    pub(super) member: u64,
    /// Bytes of all members together.
    pub(super) all: u64,
    /// Members, those that are not wanted too.
    pub(super) members: usize,
}

impl Limits {
    /// The limits of the command.
    pub(super) const DEFAULT: Self = Self {
        member: 1 << 28,
        all: 1 << 32,
        members: 1 << 20,
    };
}

/// Bytes of a name in a tar archive that stands before its member.
const MOST_NAME: u64 = 1 << 16;

/// The kinds of archives, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packed {
    Zip,
    Tar,
    TarGz,
    TarZst,
}

/// Chooser of members by their names.
type Wanted<'a> = &'a dyn Fn(&str) -> Result<bool, DataError>;

/// Name and text of a member.
pub(super) type Member = (String, String);

impl Packed {
    const ENDS: [(&str, Self); 6] = [
        (".zip", Self::Zip),
        (".whl", Self::Zip),
        (".tar.gz", Self::TarGz),
        (".tgz", Self::TarGz),
        (".tar.zst", Self::TarZst),
        (".tar", Self::Tar),
    ];

    /// The kind of a file with this name, and the name without its extension.
    pub(super) fn of(name: &str) -> Option<(Self, &str)> {
        let lower = name.to_ascii_lowercase();
        let (end, kind) = Self::ENDS.iter().find(|(end, _)| lower.ends_with(end))?;
        Some((*kind, &name[..name.len() - end.len()]))
    }

    /// The members that are wanted, in the order of the archive.
    pub(super) fn members(
        self,
        path: &Path,
        is_wanted: Wanted<'_>,
        limits: Limits,
        stop: &AtomicBool,
    ) -> Result<Vec<Member>, DataError> {
        let file = open_regular(path).map_err(|source| io_error(path, source))?;
        let mut taken = Taken {
            path,
            is_wanted,
            limits,
            stop,
            members: Vec::new(),
            bytes: 0,
        };
        let file = BufReader::new(file);
        match self {
            Self::Zip => taken.zip(file)?,
            Self::Tar => taken.tar(file)?,
            Self::TarGz => taken.tar(MultiGzDecoder::new(file))?,
            Self::TarZst => taken.tar(ZstdReader::new(file))?,
        }
        Ok(taken.members)
    }
}

/// The members that have been taken of an archive so far.
struct Taken<'a> {
    path: &'a Path,
    is_wanted: Wanted<'a>,
    limits: Limits,
    stop: &'a AtomicBool,
    members: Vec<Member>,
    bytes: u64,
}

impl Taken<'_> {
    fn zip(&mut self, file: BufReader<File>) -> Result<(), DataError> {
        let mut archive = ZipMembers::open(file).map_err(|error| self.damaged(&error))?;
        let mut i = 0;
        while let Some(member) = archive
            .next_member()
            .map_err(|error| self.damaged(&error))?
        {
            self.check_count(i)?;
            i += 1;
            if !member.name.ends_with('/') && (self.is_wanted)(&member.name)? {
                let stream = archive.stream(&member);
                let stream = stream.map_err(|error| self.damaged(&error))?;
                self.take(member.name, stream)?;
            }
        }
        Ok(())
    }

    /// Reads each entry as it stands, so that what comes before a member to give its name is bounded too.
    fn tar(&mut self, stream: impl Read) -> Result<(), DataError> {
        let stream = Bounded {
            stream,
            left: self.limits.all,
            stop: self.stop,
        };
        let mut archive = tar::Archive::new(stream);
        let entries = archive.entries().map_err(|error| self.damaged(&error))?;
        let mut long = None;
        for (i, entry) in entries.raw(true).enumerate() {
            self.check_count(i)?;
            let mut entry = entry.map_err(|error| self.damaged(&error))?;
            match entry.header().entry_type() {
                EntryType::GNULongName => {
                    let name = self.before_member(&mut entry)?;
                    long = Some(lossy(name.split(|byte| *byte == 0).next()));
                }
                EntryType::XHeader => {
                    let records = self.before_member(&mut entry)?;
                    long = path_of(&records).or(long);
                }
                EntryType::XGlobalHeader => {}
                EntryType::Regular | EntryType::Continuous => {
                    let own = || lossy(Some(&entry.header().path_bytes()));
                    let name = long.take().unwrap_or_else(own);
                    if (self.is_wanted)(&name)? {
                        let size = entry.size();
                        let read = self.take(name, entry)?;
                        self.check_whole(read, size)?;
                    }
                }
                _ => long = None,
            }
        }
        // to its end, which may be missing
        let rest = io::copy(&mut archive.into_inner(), &mut io::sink());
        rest.map(drop).map_err(|error| self.damaged(&error))
    }

    /// Keeps the text of a member, and returns the bytes that it has.
    fn take(&mut self, name: String, member: impl Read) -> Result<u64, DataError> {
        check_stop(self.stop)?;
        let mut bytes = Vec::new();
        let most = self.limits.member;
        let read = member.take(most + 1).read_to_end(&mut bytes);
        let read = read.map_err(|error| self.damaged(&format!("{name}: {error}")))? as u64;
        self.bytes += read;
        if read > most {
            return Err(self.too_large(format!("more than {most} bytes in `{name}`")));
        }
        if self.bytes > self.limits.all {
            return Err(self.too_large(format!("more than {} bytes", self.limits.all)));
        }
        // its documents need as much again
        check_memory(self.path, u128::from(read))?;
        let text = text_of(&self.path.join(&name), bytes)?;
        self.members.push((name, text));
        Ok(read)
    }

    fn before_member(&self, entry: &mut impl Read) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let read = entry.take(MOST_NAME + 1).read_to_end(&mut bytes);
        let read = read.map_err(|error| self.damaged(&error))? as u64;
        if read > MOST_NAME {
            return Err(self.too_large(format!("a name of more than {MOST_NAME} bytes")));
        }
        Ok(bytes)
    }

    fn check_whole(&self, read: u64, size: u64) -> Result<(), DataError> {
        if read == size {
            return Ok(());
        }
        Err(self.damaged(&format!("{read} of {size} bytes of a member are there")))
    }

    fn check_count(&self, i: usize) -> Result<(), DataError> {
        check_stop(self.stop)?;
        let most = self.limits.members;
        if i < most {
            return Ok(());
        }
        Err(self.too_large(format!("more than {most} members")))
    }

    /// An error of reading: of the archive, unless it was a limit or a request to stop.
    fn damaged(&self, error: &dyn ToString) -> DataError {
        if self.stop.load(Ordering::Relaxed) {
            return DataError::Interrupted;
        }
        let what = error.to_string();
        if what.contains(FULL) {
            return self.too_large(format!("more than {} bytes", self.limits.all));
        }
        let path = self.path.to_owned();
        CorpusError::Archive { path, what }.into()
    }

    fn too_large(&self, what: String) -> DataError {
        let path = self.path.to_owned();
        CorpusError::TooLarge { path, what }.into()
    }
}

/// The message of a stream that holds more than is read.
const FULL: &str = "the stream holds more than is read";

/// A stream that fails where more comes than it may hold, or a stop is asked for.
struct Bounded<'a, R> {
    stream: R,
    left: u64,
    stop: &'a AtomicBool,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let read = self.stream.read(buffer)?;
        let left = self.left.checked_sub(read as u64);
        self.left = left.ok_or_else(|| io::Error::other(FULL))?;
        Ok(read)
    }
}

fn lossy(name: Option<&[u8]>) -> String {
    String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
}

/// The path in the records of a pax header.
fn path_of(records: &[u8]) -> Option<String> {
    let mut records = PaxExtensions::new(records).flatten();
    let path = records.find(|record| record.key_bytes() == b"path")?;
    Some(lossy(Some(path.value_bytes())))
}
