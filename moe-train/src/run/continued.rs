//! What going on with a run that was stopped needs beside its checkpoint.

use super::files::{file_error, write_whole};
use super::{RunError, RunFolder};
use crate::task::TaskData;
use std::fs;
use std::io::ErrorKind;

/// Refuses to go on with other data than the one that the run began with.
pub(super) fn check_data(folder: &RunFolder, data: &TaskData) -> Result<(), RunError> {
    let path = folder.data_hash();
    let saved = fs::read_to_string(&path).map_err(file_error("read", &path))?;
    if saved == data.fingerprint() {
        return Ok(());
    }
    Err(RunError::DataChanged(folder.path().to_owned()))
}

/// Opens `metrics.jsonl` for lines after `step`: lines of later steps, written before the run was
/// killed, will be written again, and so will the last evaluation, which follows the last checkpoint.
pub(super) fn continue_metrics(folder: &RunFolder, step: u64) -> Result<fs::File, RunError> {
    let path = folder.metrics();
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        bytes => bytes.map_err(file_error("read", &path))?,
    };
    // a line that was torn by a kill is not JSON, and is dropped
    let kept: String = String::from_utf8_lossy(&bytes)
        .lines()
        .filter(|line| {
            let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
            value.is_some_and(|value| {
                value["step"].as_u64().is_some_and(|at| at <= step) && value["whole"] != true
            })
        })
        .map(|line| format!("{line}\n"))
        .collect();
    write_whole(&path, kept.as_bytes())?;
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .map_err(file_error("open", &path))
}
