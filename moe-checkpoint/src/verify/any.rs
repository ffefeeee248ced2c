//! Holding a checkpoint of any kind to its goldens.

use super::{Goldens, Scope, Verification, VerifyError, verify, verify_switch, verify_vmoe};
use crate::AnyCheckpoint;
use burn::tensor::Device;

/// Holds a checkpoint of any kind to its goldens, in f32.
///
/// # Errors
///
/// Returns an error if the checkpoint cannot be read or the goldens cannot be used. A difference is no
/// error.
pub fn verify_any(
    checkpoint: &AnyCheckpoint,
    goldens: &Goldens,
    scope: Scope,
    device: &Device,
) -> Result<Verification, VerifyError> {
    match checkpoint {
        AnyCheckpoint::Text(checkpoint) => verify(checkpoint, goldens, scope, device),
        AnyCheckpoint::Pairs(checkpoint) => verify_switch(checkpoint, goldens, scope, device),
        AnyCheckpoint::Images(checkpoint) => verify_vmoe(checkpoint, goldens, scope, device),
    }
}
