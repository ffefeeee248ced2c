//! The `config.json` of a copy: what the tensors beside it make untrue is corrected.

use super::CheckpointError;
use crate::published::{PublishedConfig, PublishedError, config_file, read_text};
use serde_json::{Map, Value};
use std::path::Path;

/// The text of `config.json` of `folder`, of a decoder's `config` if it is one: as it is, unless it promises
/// FP8 and there `is_fp8` is not, or modules that are not there.
pub(super) fn copied_config(
    folder: &Path,
    config: Option<&PublishedConfig>,
    is_fp8: bool,
) -> Result<Vec<u8>, CheckpointError> {
    let path = config_file(folder);
    let text = read_text(&path)?;
    let parsed: Result<Map<String, Value>, _> = serde_json::from_slice(&text);
    let before = parsed.map_err(|error| PublishedError::Json {
        path,
        what: error.to_string(),
    })?;
    let after = corrected(before.clone(), config, is_fp8);
    if after == before {
        return Ok(text);
    }
    let mut text = serde_json::to_vec_pretty(&after).expect("what was read as JSON is JSON");
    text.push(b'\n');
    Ok(text)
}

fn corrected(
    mut fields: Map<String, Value>,
    config: Option<&PublishedConfig>,
    is_fp8: bool,
) -> Map<String, Value> {
    const MODULES: &str = "num_nextn_predict_layers";
    if let (Some(PublishedConfig::DeepSeek(published)), Some(Value::Number(_))) =
        (config, fields.get(MODULES))
    {
        let n_modules = published.num_nextn_predict_layers;
        fields.insert(MODULES.to_owned(), n_modules.into());
    }
    // the multipliers are applied, and their products need all of f32
    let says_fp8 = |fields: &mut Map<String, Value>| {
        let removed = fields.remove("quantization_config");
        removed.is_some_and(|q| !q.is_null())
    };
    if !is_fp8 && says_fp8(&mut fields) {
        let key = ["dtype", "torch_dtype"]
            .into_iter()
            .find(|key| fields.contains_key(*key));
        fields.insert(key.unwrap_or("dtype").to_owned(), "float32".into());
    }
    fields
}
