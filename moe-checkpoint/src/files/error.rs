//! Errors of checkpoints.

use crate::gguf::GgufError;
use crate::pointer::LFS_POINTER;
use crate::published::PublishedError;
use safetensors::{Dtype, SafeTensorError};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Reason why a published checkpoint could not be read or written.
#[derive(Error, Debug)]
pub enum CheckpointError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] PublishedError),
    /// A GGUF file that cannot be read.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The sizes of the configuration do not fit together.
    #[error("{path}: {what}")]
    Model {
        /// The configuration's file.
        path: PathBuf,
        /// Description of what does not fit, with the keys of the file.
        what: String,
    },
    /// A file that stands for another.
    #[error("{0} {LFS_POINTER}")]
    Pointer(PathBuf),
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// Action that was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// A folder without tensors.
    #[error(
        "{0} holds neither model.safetensors nor model.safetensors.index.json; download them, or convert the weights to safetensors first"
    )]
    NoTensors(PathBuf),
    /// A released checkpoint, which does not say of which model it is.
    #[error(
        "{index} does not say which model it is of: write {config}, as docs/reference/goldens.md describes that of a VisionTransformerMoe"
    )]
    NoConfig {
        /// The released index.
        index: PathBuf,
        /// The configuration that should be there.
        config: PathBuf,
    },
    /// A file that is not in the safetensors format, or not whole.
    #[error("{path} is damaged: {source}. Download it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Description of the fault.
        source: SafeTensorError,
    },
    /// An index that cannot be followed.
    #[error("{path}: {what}")]
    Index {
        /// The index.
        path: PathBuf,
        /// Description of the fault.
        what: String,
    },
    /// A tensor that the model needs and no file has.
    #[error("{path} lacks the tensor {tensor} {}", shown(shape))]
    Missing {
        /// The file, or the folder of several.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape that it should have.
        shape: Vec<usize>,
    },
    /// A tensor that the model has no place for.
    #[error(
        "{path}: the model of config.json has no place for the tensor {tensor}: check that the configuration belongs to these files"
    )]
    Extra {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor of another shape.
    #[error(
        "{path}: the tensor {tensor} is {}, and config.json makes it {}",
        shown(found),
        shown(expected)
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that it should have.
        expected: Vec<usize>,
    },
    /// A tensor of a type that weights do not have.
    #[error(
        "{path}: the tensor {tensor} is of type {found:?}; weights are F32, F16, BF16, or F8_E4M3 with a tensor {tensor}_scale_inv"
    )]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        found: Dtype,
    },
    /// Scales of FP8 blocks of a type that scales do not have.
    #[error("{path}: the scales {tensor} are of type {found:?}; scales are F32, BF16 or F16")]
    ScaleDtype {
        /// The file.
        path: PathBuf,
        /// The scales.
        tensor: String,
        /// Their type.
        found: Dtype,
    },
    /// A tensor that holds what is no number.
    #[error(
        "{path}: the tensor {tensor} holds {value} (element {element}), so a model with it computes nothing: download the file again, or take another checkpoint"
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Index of the first such element, row by row.
        element: usize,
        /// Value of that element.
        value: f32,
    },
    /// A tensor in two files, or under two names.
    #[error("{path}: the tensor {tensor} is there twice, also as {other}")]
    Twice {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its other place.
        other: String,
    },
    /// A copy that is not one.
    #[error("{path}: the tensor {tensor} should be a copy of {original}, and differs")]
    NotACopy {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Name of the tensor that it should equal.
        original: String,
    },
    /// The model and the list of its tensors do not agree: a bug.
    #[error("the list of tensors does not fit the model at {0}; this is a bug in moe")]
    Layout(String),
    /// Something is where a checkpoint should be written.
    #[error("{0} exists; give a path where nothing is, or remove it first")]
    Exists(PathBuf),
    /// A path where no folder can be made.
    #[error("cannot write {path}: {what}")]
    Target {
        /// The path.
        path: PathBuf,
        /// Description of the fault.
        what: String,
    },
    /// A model that no published layout can hold.
    #[error("{0}")]
    NotPublishable(String),
    /// Our own files.
    #[error("{path}: {what}")]
    Native {
        /// The file.
        path: PathBuf,
        /// Description of the fault.
        what: String,
    },
}

fn shown(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[{}]", sizes.join(", "))
}

/// An error of the file system, with what was tried.
pub(super) fn file_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> CheckpointError {
    move |source| CheckpointError::File {
        action,
        path: path.to_owned(),
        source,
    }
}
