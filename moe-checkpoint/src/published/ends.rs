//! Ids that end a text.

use super::config::{json, read_text};
use super::error::PublishedError;
use serde::Deserialize;
use std::path::Path;

/// One token id or several.
#[derive(Deserialize, Debug, Clone)]
#[serde(untagged)]
pub(super) enum Ids {
    One(u32),
    Several(Vec<u32>),
}

impl From<Ids> for Vec<u32> {
    fn from(ids: Ids) -> Self {
        match ids {
            Ids::One(id) => vec![id],
            Ids::Several(ids) => ids,
        }
    }
}

#[derive(Deserialize)]
struct GenerationFields {
    eos_token_id: Option<Ids>,
}

/// The ids that end a text written by the model of a folder: `eos_token_id` of its
/// `generation_config.json`, or where that says nothing, those of its `config.json`.
///
/// # Errors
///
/// Returns an error if there is a `generation_config.json` that cannot be read or understood.
pub fn ends(folder: &Path, of_config: &[u32]) -> Result<Vec<u32>, PublishedError> {
    let path = folder.join("generation_config.json");
    if !path.exists() {
        return Ok(of_config.to_vec());
    }
    let fields: GenerationFields = json(&read_text(&path)?, &path)?;
    Ok(fields
        .eos_token_id
        .map_or_else(|| of_config.to_vec(), Vec::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_file_for_generation_comes_first() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ends = || ends(folder.path(), &[2]).map_err(|error| error.to_string());
        let path = folder.path().join("generation_config.json");
        assert_eq!(ends(), Ok(vec![2]));
        for (text, expected) in [
            (r#"{"eos_token_id": [2, 11, 64]}"#, vec![2, 11, 64]),
            (r#"{"eos_token_id": 7, "do_sample": true}"#, vec![7]),
            (r#"{"eos_token_id": null}"#, vec![2]),
            ("{}", vec![2]),
        ] {
            fs::write(&path, text).expect("a file");
            assert_eq!(ends(), Ok(expected), "{text}");
        }
        fs::write(&path, r#"{"eos_token_id": "end"}"#).expect("a file");
        let error = ends().expect_err("text");
        assert!(error.contains("generation_config.json"), "{error}");
    }
}
