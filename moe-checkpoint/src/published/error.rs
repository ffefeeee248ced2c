//! Errors of reading a published configuration.

use crate::gguf::GgufError;
use crate::pointer::LFS_POINTER;
use moe_models::bounds::LARGEST_SIZE;
use std::borrow::Cow;
use std::path::PathBuf;
use thiserror::Error;

/// Errors of reading a published configuration.
#[derive(Error, Debug)]
pub enum PublishedError {
    /// The file could not be read.
    #[error(
        "cannot read {path}: {source}. A published checkpoint is a folder with config.json and its tensors in safetensors files, or a GGUF file"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The text is not the configuration of a known kind.
    #[error("{path} cannot be understood: {what}")]
    Json {
        /// Path of the text.
        path: PathBuf,
        /// Description of the fault.
        what: String,
    },
    /// A model of another kind.
    #[error(
        "{path}: model_type \"{found}\" is not known here; known are the decoders {}, and besides them switch_transformers and VisionTransformerMoe",
        super::MODEL_TYPES.join(", ")
    )]
    UnknownType {
        /// Path of the text.
        path: PathBuf,
        /// The type that it names.
        found: String,
    },
    /// Sizes that do not fit together.
    #[error("{path}: {what}")]
    Model {
        /// Path of the text.
        path: PathBuf,
        /// Description of what does not fit, with the keys of the file.
        what: String,
    },
    /// A file that stands for another.
    #[error("{0} {LFS_POINTER}")]
    Pointer(PathBuf),
    /// A GGUF file that cannot be read.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A value that cannot be, or that is not supported.
    #[error("{path}: {key} = {value}: {rule}")]
    Value {
        /// Path of the text.
        path: PathBuf,
        /// The key.
        key: Cow<'static, str>,
        /// Its value.
        value: String,
        /// Rule that it must follow.
        rule: String,
    },
}

/// A value that a configuration cannot have, before it is known where the configuration comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) key: Cow<'static, str>,
    pub(super) value: String,
    pub(super) rule: String,
}

impl Refusal {
    pub(super) fn new(key: &'static str, value: impl ToString, rule: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.to_string(),
            rule: rule.into(),
        }
    }

    /// The refusal of a field that is in a dictionary.
    pub(super) fn within(self, dictionary: &str) -> Self {
        Self {
            key: format!("{dictionary}.{}", self.key).into(),
            ..self
        }
    }

    pub(super) fn at(self, path: &std::path::Path) -> PublishedError {
        PublishedError::Value {
            path: path.to_owned(),
            key: self.key,
            value: self.value,
            rule: self.rule,
        }
    }
}

/// The value of a field that must have one.
pub(super) fn needed<T>(key: &'static str, value: Option<T>) -> Result<T, Refusal> {
    value.ok_or_else(|| Refusal::new(key, "null", "it must have a value"))
}

/// Checks that sizes are at least 1 and not absurd.
pub(super) fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<(), Refusal> {
    let outside = sizes
        .iter()
        .find(|(_, size)| *size == 0 || *size > LARGEST_SIZE);
    match outside {
        Some((key, size)) => Err(Refusal::new(
            key,
            size,
            format!("it must be from 1 to {LARGEST_SIZE}"),
        )),
        None => Ok(()),
    }
}

/// Checks that numbers are positive and finite.
pub(super) fn check_positive(numbers: &[(&'static str, f64)]) -> Result<(), Refusal> {
    let outside = numbers.iter().find(|(_, x)| !(*x > 0.0 && x.is_finite()));
    match outside {
        Some((key, x)) => Err(Refusal::new(key, x, "it must be a finite number above 0")),
        None => Ok(()),
    }
}

/// Checks the weight of a loss.
pub(super) fn check_weight(key: &'static str, weight: f64) -> Result<(), Refusal> {
    if weight >= 0.0 && weight.is_finite() {
        return Ok(());
    }
    let rule = "it must be a finite number of at least 0";
    Err(Refusal::new(key, weight, rule))
}

/// Checks the width of the noise that multiplies the input of mixtures in training.
pub(super) fn check_jitter(width: f64) -> Result<(), Refusal> {
    if (0.0..1.0).contains(&width) {
        return Ok(());
    }
    let rule = "it must be at least 0 and below 1";
    Err(Refusal::new("router_jitter_noise", width, rule))
}
