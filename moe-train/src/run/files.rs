//! Files that are written whole or not at all.

use super::RunError;
use moe_models::disk;
use serde::{Serialize, de::DeserializeOwned};
use std::fs;
use std::path::Path;

/// The most lines of an error of a library that are shown.
const MOST_LINES: usize = 4;

/// Writes a file, which appears whole or not at all.
/// A link with the file's name is refused: it would lead out of the run folder.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        let link = std::io::Error::other("it is a link, not a file of this run");
        return Err(file_error("write", path)(link));
    }
    disk::write_whole(path, bytes).map_err(file_error("write", path))
}

/// Waits until a file, or the names in a folder, are on the disk.
pub(super) fn sync(path: &Path) -> Result<(), RunError> {
    if cfg!(not(unix)) && path.is_dir() {
        return Ok(()); // cannot be opened there
    }
    let mut options = fs::OpenOptions::new();
    // a folder cannot be opened for writing, and Windows syncs no file that is not
    let file = options.read(true).write(!path.is_dir()).open(path);
    file.and_then(|file| file.sync_all())
        .map_err(file_error("sync", path))
}

/// Writes a value as indented JSON.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), RunError> {
    let mut text = serde_json::to_string_pretty(value).expect("plain data is JSON");
    text.push('\n');
    write_whole(path, text.as_bytes())
}

/// Reads a value from JSON.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path, folder: &Path) -> Result<T, RunError> {
    let bytes = disk::read_at_most(path, 1 << 26).map_err(file_error("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(path, folder, &error))
}

/// An error of the file system, with what was tried.
pub(super) fn file_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> RunError {
    move |source| RunError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

/// A file that does not hold what it should.
pub(super) fn damaged(path: &Path, folder: &Path, what: &dyn std::fmt::Display) -> RunError {
    let what = what.to_string();
    let mut lines = what.lines().map(str::trim_end);
    let mut shown = lines
        .by_ref()
        .take(MOST_LINES)
        .collect::<Vec<_>>()
        .join(" ");
    if lines.next().is_some() {
        shown.push_str(" ...");
    }
    RunError::Damaged {
        path: path.to_owned(),
        what: shown,
        folder: folder.to_owned(),
    }
}

/// A file that is of something else than its run folder.
pub(super) fn foreign(path: &Path, folder: &Path, what: String) -> RunError {
    RunError::Foreign {
        path: path.to_owned(),
        what,
        folder: folder.to_owned(),
    }
}
