//! A prepared corpus as a folder, which appears whole or not at all.

use super::manifest::is_prepared;
use super::{CorpusError, CorpusManifest, MANIFEST, PartRecord, PreparedCorpus};
use crate::data::{DataError, read::io_error};
use moe_checkpoint::disk;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

/// The treatment of a corpus that is in the folder already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is written.
    Keep,
    /// It is replaced.
    Replace,
}

/// Checks, before any work, that a corpus can be written to a folder: that nothing is there, or that a corpus is which
/// may be replaced.
///
/// # Errors
///
/// Says what is there.
pub fn check_folder(folder: &Path, existing: Existing) -> Result<(), DataError> {
    let refuse = |what| {
        let path = folder.to_owned();
        Err(CorpusError::Target { path, what }.into())
    };
    if folder.file_name().is_none() {
        return refuse("the path does not end in a name; give a folder to make");
    }
    let Ok(there) = folder.symlink_metadata() else {
        let is_there = |path: &&Path| path.symlink_metadata().is_ok();
        return match folder.ancestors().skip(1).find(is_there) {
            Some(above) if !above.is_dir() => refuse("what is above it is not a folder"),
            _ => Ok(()),
        };
    };
    if !there.is_dir() {
        return refuse("this is there and is no folder; give another name");
    }
    if !is_prepared(folder) {
        return refuse("this is there and was not made by `moe data prepare`; give another name");
    }
    match existing {
        Existing::Keep => refuse(
            "a corpus is there, which runs may have been trained on; give another name, or add --force",
        ),
        Existing::Replace if !holds_nothing_else(folder)? => {
            refuse("beside the corpus other files are there; move them, or give another name")
        }
        Existing::Replace => Ok(()),
    }
}

/// Tells whether all files of a corpus's folder are the corpus's. A manifest that cannot be read owns none.
fn holds_nothing_else(folder: &Path) -> Result<bool, DataError> {
    let parts = CorpusManifest::read(folder).map_or(Vec::new(), |manifest| manifest.parts);
    let mut own: HashSet<String> = parts.iter().map(PartRecord::file).collect();
    own.insert(MANIFEST.to_owned());
    let io_error = |source| io_error(folder, source);
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let name = entry.map_err(io_error)?.file_name();
        if !name.to_str().is_some_and(|name| own.contains(name)) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl PreparedCorpus {
    /// Writes the parts and the manifest.
    ///
    /// # Errors
    ///
    /// As [`check_folder`], and the system's refusal; what was there is then as it was.
    pub fn write(&self, folder: &Path, existing: Existing) -> Result<(), DataError> {
        check_folder(folder, existing)?;
        let fill = |folder: &Path| -> io::Result<()> {
            for (part, text) in self.manifest.parts.iter().zip(&self.texts) {
                disk::write_new(&folder.join(part.file()), text.as_bytes())?;
            }
            disk::write_new(&folder.join(MANIFEST), self.manifest.to_text().as_bytes())
        };
        let written = if folder.exists() {
            disk::replace_folder(folder, fill)
        } else {
            disk::write_folder(folder, fill)
        };
        written.map_err(|source| DataError::Io {
            action: "write",
            path: folder.to_owned(),
            source,
        })
    }
}
