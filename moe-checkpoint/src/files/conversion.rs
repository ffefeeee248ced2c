//! Loading and converting checkpoints of any family, in the published layout or our own.

use super::carried::{Carried, carry};
use super::kept::Kept;
use super::layout::{TensorCopy, grouped};
use super::load::{Precision, fill};
use super::native::{NativeFiles, write_native};
use super::stored::stored_tensors;
use super::tensor_files::TensorFiles;
use super::write::whole_folder;
use super::{CheckpointError, Entry};
use burn::module::Module;
use burn::tensor::Device;
use std::path::Path;

/// The tensors of a checkpoint, in either layout.
#[derive(Debug)]
pub(super) enum Tensors {
    /// The published files.
    Published(TensorFiles),
    /// Our own files.
    Native(NativeFiles),
}

/// A checkpoint of a family: its files, and the places of its tensors in the model.
pub(super) trait Convertible {
    /// The model.
    type Model: Module;

    /// The folder.
    fn folder(&self) -> &Path;

    /// The tensors.
    fn tensors(&self) -> &Tensors;

    /// The model, of which no parameter is drawn yet.
    fn empty(&self, device: &Device) -> Self::Model;

    /// The published tensors and their places in the model, made one by one.
    fn entries(&self) -> impl Iterator<Item = Entry>;

    /// The tensors that may be there besides and are then checked.
    fn copies(&self) -> Vec<TensorCopy>;

    /// The text of `config.json` beside tensors that are in FP8 or not.
    fn config_text(&self, is_fp8: bool) -> Result<Vec<u8>, CheckpointError>;
}

/// Reads the model, one parameter at a time.
pub(super) fn load<C: Convertible>(
    checkpoint: &C,
    precision: Precision,
    device: &Device,
) -> Result<C::Model, CheckpointError> {
    let model = checkpoint.empty(device);
    let entries = grouped(checkpoint.entries());
    match checkpoint.tensors() {
        Tensors::Published(files) => fill(model, files, entries, precision),
        Tensors::Native(files) => files.load(model, &entries, precision),
    }
}

/// Writes the checkpoint anew in the published layout. Of published files no tensor is in memory, of our
/// own files all are.
pub(super) fn rewrite<C: Convertible>(
    checkpoint: &C,
    target: &Path,
    device: &Device,
) -> Result<Carried, CheckpointError> {
    match checkpoint.tensors() {
        Tensors::Published(files) => {
            let text = checkpoint.config_text(files.has_fp8())?;
            let tensors = stored_tensors(files, checkpoint.entries(), checkpoint.copies())?;
            whole_folder(target, |folder| {
                tensors.write(folder, &text)?;
                carry(checkpoint.folder(), folder)
            })
        }
        Tensors::Native(files) => {
            let text = checkpoint.config_text(files.kept()?.has_scales())?;
            let model = load_as_stored(checkpoint, device)?;
            let entries = grouped(checkpoint.entries());
            files.publish(&model, &text, entries, checkpoint.copies(), target)
        }
    }
}

/// Converts published files to our own, with what the way back needs in a file beside.
pub(super) fn to_native<C: Convertible>(
    checkpoint: &C,
    target: &Path,
    device: &Device,
) -> Result<Carried, CheckpointError> {
    let files = match checkpoint.tensors() {
        Tensors::Published(files) => files,
        Tensors::Native(files) => return Err(files.are_ours_already()),
    };
    let model = load_as_stored(checkpoint, device)?;
    let text = checkpoint.config_text(files.has_fp8())?;
    write_native(model, &text, [checkpoint.folder(), target], |folder| {
        Kept::write(files, checkpoint.entries(), checkpoint.copies(), folder)
    })
}

fn load_as_stored<C: Convertible>(
    checkpoint: &C,
    device: &Device,
) -> Result<C::Model, CheckpointError> {
    let plain = device.clone().without_autodiff();
    load(checkpoint, Precision::Stored, &plain)
}
