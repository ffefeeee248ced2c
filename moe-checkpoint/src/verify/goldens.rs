//! Files of goldens: tensors, and norms in a JSON file beside them.

use super::VerifyError;
use crate::disk::{MOST_TEXT, read_at_most};
use crate::{HostTensor, HostValues, read_tensors};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Results of a reference implementation: tensors by name, and norms of all gradients and
/// parameters.
#[derive(Debug)]
pub struct Goldens {
    path: PathBuf,
    tensors: BTreeMap<String, HostTensor>,
    pub(super) norms: Norms,
}

/// The norms of a file of goldens, from the JSON file beside it; other keys are remarks.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct Norms {
    /// The norm of each gradient.
    pub(super) grad_norm: BTreeMap<String, f64>,
    /// The norm of each parameter after five steps.
    pub(super) param_norm_after_5: BTreeMap<String, f64>,
}

impl Goldens {
    /// Reads the tensors of `path`, and the norms of the file of the same name that ends in `.json`, if
    /// there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read or understood.
    pub fn read(path: &Path) -> Result<Self, VerifyError> {
        let tensors = read_tensors(path)?;
        let beside = path.with_extension("json");
        let problem = |what: String| VerifyError::Goldens {
            path: beside.clone(),
            what,
        };
        let norms = match read_at_most(&beside, MOST_TEXT) {
            Ok(text) => serde_json::from_slice(&without_infinities(&text))
                .map_err(|error| problem(error.to_string()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Norms::default(),
            Err(error) => return Err(problem(error.to_string())),
        };
        Ok(Self {
            path: path.to_owned(),
            tensors,
            norms,
        })
    }

    /// The names of the tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(super) fn get(&self, name: &str) -> Option<&HostTensor> {
        self.tensors.get(name)
    }

    /// Token ids or a mask, `[B, L]`.
    pub(super) fn ids(&self, name: &str) -> Result<Option<Ids>, VerifyError> {
        let Some(tensor) = self.tensors.get(name) else {
            return Ok(None);
        };
        match (&tensor.values, tensor.shape.as_slice()) {
            (HostValues::Ints(ids), [batch, length]) if *batch > 0 && *length > 0 => {
                Ok(Some(Ids {
                    ids: ids.clone(),
                    batch: *batch,
                    length: *length,
                }))
            }
            _ => Err(self.problem(format!("{name} must be whole numbers [batch, length]"))),
        }
    }

    /// Token ids `[B, L]` of a vocabulary.
    pub(super) fn tokens(&self, name: &str, vocab_size: usize) -> Result<Option<Ids>, VerifyError> {
        let Some(ids) = self.ids(name)? else {
            return Ok(None);
        };
        match ids
            .ids
            .iter()
            .find(|&&id| id < 0 || id >= vocab_size as i64)
        {
            Some(id) => Err(self.problem(format!(
                "{name} has the id {id}, and the vocabulary has 0 to {}",
                vocab_size - 1
            ))),
            None => Ok(Some(ids)),
        }
    }

    /// The tokens that a mask marks as padding with 0 and all others with 1, in the shape of `tokens`.
    pub(super) fn padding(
        &self,
        name: &str,
        tokens: &Ids,
    ) -> Result<Option<Vec<bool>>, VerifyError> {
        let Some(mask) = self.ids(name)? else {
            return Ok(None);
        };
        let shape = [tokens.batch, tokens.length];
        if [mask.batch, mask.length] != shape {
            return Err(self.problem(format!(
                "{name} is {:?}, and its tokens {shape:?}",
                [mask.batch, mask.length]
            )));
        }
        match mask.ids.iter().find(|&&mark| mark != 0 && mark != 1) {
            Some(mark) => Err(self.problem(format!("{name} has {mark}, and a mask is 0 and 1"))),
            None => Ok(Some(mask.ids.iter().map(|&mark| mark == 0).collect())),
        }
    }

    /// Tells whether there is something about gradients or training.
    pub(super) fn trains(&self) -> bool {
        let norms = [&self.norms.grad_norm, &self.norms.param_norm_after_5];
        self.names().any(is_training) || norms.iter().any(|norms| !norms.is_empty())
    }

    /// Refuses training with noise of that width: what the reference drew is not in the goldens.
    pub(super) fn check_noise(&self, router_jitter_noise: f64) -> Result<(), VerifyError> {
        if router_jitter_noise == 0.0 {
            return Ok(());
        }
        Err(self.problem(format!(
            "there is something about training, and config.json has router_jitter_noise = {router_jitter_noise}: training with noise cannot be compared; --forward-only leaves it out"
        )))
    }

    pub(super) fn problem(&self, what: String) -> VerifyError {
        VerifyError::Goldens {
            path: self.path.clone(),
            what,
        }
    }
}

/// JSON as Python writes it, which spells numbers that are not finite as no other JSON does, with `null`
/// in their place.
fn without_infinities(text: &[u8]) -> Vec<u8> {
    const SPELLED: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut out = Vec::with_capacity(text.len());
    let (mut is_string, mut rest) = (false, text);
    while let [first, after @ ..] = rest {
        let word = SPELLED.iter().find(|word| rest.starts_with(word));
        rest = match (word, after) {
            (Some(word), _) if !is_string => {
                out.extend(b"null");
                &rest[word.len()..]
            }
            // whatever it is, it does not end the string
            (_, [escaped, after @ ..]) if is_string && *first == b'\\' => {
                out.extend([*first, *escaped]);
                after
            }
            _ => {
                is_string ^= *first == b'"';
                out.push(*first);
                after
            }
        };
    }
    out
}

/// Tells whether a tensor is about gradients or training.
pub(super) fn is_training(name: &str) -> bool {
    ["train.", "grad.", "grad/"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Whole numbers `[B, L]`.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    pub(super) ids: Vec<i64>,
    pub(super) batch: usize,
    pub(super) length: usize,
}

impl Ids {
    pub(super) fn rows(&self) -> impl Iterator<Item = &[i64]> {
        self.ids.chunks(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_such_numbers_take_no_longer_each() {
        let text = format!("[{}0]", "NaN,".repeat(1 << 20));
        let read: Vec<Option<f64>> =
            serde_json::from_slice(&without_infinities(text.as_bytes())).expect("JSON");
        assert_eq!(read.len(), 1 + (1 << 20));
        assert!(without_infinities(b"\"\\").ends_with(b"\\"));
    }

    #[test]
    fn numbers_that_are_not_finite_become_null() {
        let text = r#"{"Infinity": [-Infinity, NaN,Infinity], "\"NaN": 1.5, "x": "\\"}"#;
        let read: serde_json::Value =
            serde_json::from_slice(&without_infinities(text.as_bytes())).expect("JSON");
        let expected = serde_json::json!({"Infinity": [null, null, null], "\"NaN": 1.5, "x": "\\"});
        assert_eq!(read, expected);
    }
}
