//! `metrics.jsonl` while a run is made. Each checkpoint says how long it was and what it held, so that going
//! on finds the lines that the checkpoint left, and nothing else.

use super::files::{damaged, file_error};
use super::seal::{hash_up_to, hex};
use super::{RunError, RunFolder};
use moe_checkpoint::disk;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// The length of a file and the hash of its bytes.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Extent {
    bytes: u64,
    sha256: String,
}

/// The open file.
pub(super) struct MetricsLog {
    file: File,
    path: PathBuf,
    hash: Sha256,
    bytes: u64,
}

impl MetricsLog {
    /// Opens the file after the lines that a checkpoint left: lines of later steps, written before the run
    /// was killed, will be written again.
    pub(super) fn open(folder: &RunFolder, extent: Option<&Extent>) -> Result<Self, RunError> {
        let path = folder.metrics();
        let hash = match extent {
            Some(extent) => extent.check(folder)?,
            None => Sha256::new(),
        };
        let bytes = extent.map_or(0, |extent| extent.bytes);
        let file = disk::append_regular(&path).map_err(file_error("open", &path))?;
        // the hash goes on from these bytes, so nothing else may stand behind them
        file.set_len(bytes).map_err(file_error("cut", &path))?;
        Ok(Self {
            file,
            path,
            hash,
            bytes,
        })
    }

    /// Adds a line.
    pub(super) fn write<T: Serialize>(&mut self, kind: &str, metrics: &T) -> Result<(), RunError> {
        #[derive(Serialize)]
        struct Line<'a, T> {
            kind: &'a str,
            #[serde(flatten)]
            metrics: &'a T,
        }
        let mut line = serde_json::to_string(&Line { kind, metrics }).expect("plain data is JSON");
        line.push('\n');
        let written = self.file.write_all(line.as_bytes());
        written.map_err(file_error("write", &self.path))?;
        self.hash.update(&line);
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Extent of the file now, on the disk.
    pub(super) fn extent(&self) -> Result<Extent, RunError> {
        // a checkpoint must not vouch for lines that a power cut would take
        let synced = self.file.sync_data();
        synced.map_err(file_error("write", &self.path))?;
        Ok(Extent {
            bytes: self.bytes,
            sha256: hex(&self.hash.clone().finalize()),
        })
    }
}

impl Extent {
    /// Refuses a file that does not begin with these bytes, and returns their hash, to be continued.
    pub(super) fn check(&self, folder: &RunFolder) -> Result<Sha256, RunError> {
        let path = folder.metrics();
        let mut hash = Sha256::new();
        let bytes = hash_up_to(&path, self.bytes, &mut hash)?;
        if bytes == self.bytes && hex(&hash.clone().finalize()) == self.sha256 {
            return Ok(hash);
        }
        let what = format!(
            "its first {} bytes are not those that were written",
            self.bytes
        );
        Err(damaged(&path, folder.path(), &what))
    }

    /// Refuses a file that holds anything but these bytes.
    pub(super) fn check_whole(&self, folder: &RunFolder) -> Result<(), RunError> {
        self.check(folder)?;
        let path = folder.metrics();
        let metadata = std::fs::metadata(&path).map_err(file_error("read", &path))?;
        if metadata.len() == self.bytes {
            return Ok(());
        }
        let what = "lines were added after the run was finished";
        Err(damaged(&path, folder.path(), &what))
    }
}
