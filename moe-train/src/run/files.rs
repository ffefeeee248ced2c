//! Files that are written whole or not at all.

use super::RunError;
use moe_models::disk;
use serde::{Serialize, de::DeserializeOwned};
use std::fs;
use std::path::Path;

/// Writes a file, which appears whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    disk::write_whole(path, bytes).map_err(file_error("write", path))
}

/// Writes a value as indented JSON.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), RunError> {
    let mut text = serde_json::to_string_pretty(value).expect("plain data is JSON");
    text.push('\n');
    write_whole(path, text.as_bytes())
}

/// Reads a value from JSON.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path, folder: &Path) -> Result<T, RunError> {
    let bytes = fs::read(path).map_err(file_error("read", path))?;
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
    RunError::Damaged {
        path: path.to_owned(),
        what: what.to_string(),
        folder: folder.to_owned(),
    }
}
