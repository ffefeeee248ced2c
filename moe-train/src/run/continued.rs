//! Data that a run goes on with, or is scored by: the data that it began with.

use super::{RunError, RunFolder};
use crate::task::TaskData;

/// Refuses other data than the one that the run began with.
pub(super) fn check_data(folder: &RunFolder, then: &str, data: &TaskData) -> Result<(), RunError> {
    let now = data.fingerprint();
    if then == now {
        return Ok(());
    }
    Err(RunError::DataChanged {
        folder: folder.path().to_owned(),
        then: then.to_owned(),
        now,
    })
}
