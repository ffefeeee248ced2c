//! Origin of a file of a run: the configuration, the data and the vocabulary that it was made with.

use super::files::{damaged, file_error, foreign};
use super::seal::hash_file;
use super::{RunError, RunFolder};
use crate::config::RunConfig;
use moe_checkpoint::disk;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The most differing keys that an error shows.
const SHOWN: usize = 3;

/// A run's question, seed and data, the same in all of its sealed files.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Origin {
    /// All values of the configuration, the seed among them.
    config: Values,
    /// The hash of the data, as in `data.sha256`.
    pub(super) data: String,
    /// The SHA-256 of `tokenizer.json`, of a run that learned a vocabulary.
    vocabulary: Option<String>,
}

impl Origin {
    /// The origin of a run folder, as its files say it.
    pub(super) fn read(folder: &RunFolder, config: &RunConfig) -> Result<Self, RunError> {
        let path = folder.data_hash();
        let data = disk::read_text(&path, 1 << 10).map_err(file_error("read", &path))?;
        let is_hash = data.len() == 64 && data.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            let what = "it is not the hash of any data";
            return Err(damaged(&path, folder.path(), &what));
        }
        let vocabulary = folder.vocabulary();
        Ok(Self {
            config: values(config),
            data,
            vocabulary: if vocabulary.exists() {
                Some(hash_file(&vocabulary)?)
            } else {
                None
            },
        })
    }

    /// Refuses a file whose origin is another than that of its folder.
    pub(super) fn check(
        &self,
        folder: &RunFolder,
        of_folder: &Self,
        path: &Path,
    ) -> Result<(), RunError> {
        let refuse = |what: String| Err(foreign(path, folder.path(), what));
        if let Some(what) = differences(&self.config, &of_folder.config, "config.toml") {
            return refuse(what);
        }
        if self.data != of_folder.data {
            return refuse(format!(
                "it is of data with the hash {}, and data.sha256 says {}",
                self.data, of_folder.data
            ));
        }
        if self.vocabulary != of_folder.vocabulary {
            return refuse("it is of another vocabulary than tokenizer.json".to_owned());
        }
        Ok(())
    }
}

/// All values of a configuration by key.
pub(super) type Values = BTreeMap<String, String>;

/// All values of a configuration by key.
pub(super) fn values(config: &RunConfig) -> Values {
    config.values().into_iter().collect()
}

/// The first keys in which a configuration differs from another, in words; nothing if in none.
pub(super) fn differences(one: &Values, other: &Values, name: &str) -> Option<String> {
    let of = |values: &Values, key: &str| match values.get(key) {
        Some(value) => value.clone(),
        None => "not set".to_owned(),
    };
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let different: Vec<&String> = keys
        .into_iter()
        .filter(|key| one.get(*key) != other.get(*key))
        .collect();
    let shown = different.iter().take(SHOWN);
    let words: Vec<String> = shown
        .map(|key| {
            format!(
                "`{key}` is {} there and {} in {name}",
                of(one, key),
                of(other, key)
            )
        })
        .collect();
    match different.len().saturating_sub(SHOWN) {
        0 if words.is_empty() => None,
        0 => Some(words.join(", ")),
        more => Some(format!("{}, and {more} more", words.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn at_most_three_differing_keys_are_shown() {
        let table = |overrides: &[&str]| values(&RunConfig::of_overrides(overrides).unwrap());
        let one = table(&["seed=1", "train.lr=0.5"]);
        assert_eq!(differences(&one, &one, "config.toml"), None);
        assert_eq!(
            differences(&one, &table(&["train.lr=0.25"]), "config.toml").unwrap(),
            "`seed` is 1 there and 0 in config.toml, `train.lr` is 0.5 there and 0.25 in config.toml"
        );
        let far = table(&["train.steps=7", "train.lr=0.25", "experts.n_experts=4"]);
        let words = differences(&one, &far, "config.toml").unwrap();
        assert!(words.ends_with(", and 1 more"), "{words}");
    }

    #[test]
    fn an_origin_is_the_same_after_json() {
        let config = RunConfig::of_overrides(&["seed=9223372036854775807"]).unwrap();
        let origin = Origin {
            config: values(&config),
            data: "ab".to_owned(),
            vocabulary: None,
        };
        let text = serde_json::to_string(&origin).unwrap();
        assert_eq!(serde_json::from_str::<Origin>(&text).unwrap(), origin);
    }
}
