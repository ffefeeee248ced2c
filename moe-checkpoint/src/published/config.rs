//! The configuration of a published decoder of any family.

use super::deepseek::{DeepSeekFields, DeepSeekGeneration, PublishedDeepSeek};
use super::defaults::with_defaults;
use super::error::{PublishedError, Refusal};
use super::llama::{LlamaFields, PublishedLlama};
use super::mixtral::{MixtralFields, PublishedMixtral};
use super::olmoe::{OlmoeFields, PublishedOlmoe};
use super::qwen3::{PublishedQwen3Moe, Qwen3MoeFields};
use super::{Common, MODEL_TYPES};
use crate::disk::{MOST_TEXT, read_at_most};
use crate::gguf::{Gguf, is_gguf};
use crate::pointer::LFS_PREFIX;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// A model as its publisher describes it.
#[derive(Serialize, Debug, Clone, PartialEq)]
#[serde(untagged)]
pub enum PublishedConfig {
    /// Mixtral.
    Mixtral(PublishedMixtral),
    /// DeepSeekMoE, DeepSeek-V2 or DeepSeek-V3.
    DeepSeek(PublishedDeepSeek),
    /// OLMoE.
    Olmoe(PublishedOlmoe),
    /// Qwen3-MoE.
    Qwen3Moe(PublishedQwen3Moe),
    /// Llama, without experts.
    Llama(PublishedLlama),
}

#[derive(Deserialize)]
struct TypeField {
    model_type: String,
}

impl PublishedConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, is of another kind of model, or has a value that
    /// cannot be or is not supported.
    pub fn read(path: &Path) -> Result<Self, PublishedError> {
        Self::parse(&read_text(path)?, path)
    }

    /// Reads a configuration from the text of `config.json`; `path` is what errors call it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, PublishedError> {
        let model_type = decoder_type(text, path)?;
        let resolved = match model_type.as_str() {
            "mixtral" => fields::<MixtralFields>(&model_type, text, path)?
                .resolve()
                .map(Self::Mixtral),
            "deepseek" => deepseek(text, path, DeepSeekGeneration::V1)?,
            "deepseek_v2" => deepseek(text, path, DeepSeekGeneration::V2)?,
            "deepseek_v3" => deepseek(text, path, DeepSeekGeneration::V3)?,
            "olmoe" => fields::<OlmoeFields>(&model_type, text, path)?
                .resolve()
                .map(Self::Olmoe),
            "qwen3_moe" => fields::<Qwen3MoeFields>(&model_type, text, path)?
                .resolve()
                .map(Self::Qwen3Moe),
            "llama" => fields::<LlamaFields>(&model_type, text, path)?
                .resolve()
                .map(Self::Llama),
            other => {
                debug_assert!(!MODEL_TYPES.contains(&other));
                return Err(PublishedError::UnknownType {
                    path: path.to_owned(),
                    found: other.to_owned(),
                });
            }
        };
        resolved.map_err(|refusal| refusal.at(path))
    }

    /// Fields that all families have.
    pub fn common(&self) -> &Common {
        match self {
            Self::Mixtral(published) => &published.common,
            Self::DeepSeek(published) => &published.common,
            Self::Olmoe(published) => &published.common,
            Self::Qwen3Moe(published) => &published.common,
            Self::Llama(published) => &published.common,
        }
    }

    /// The number of experts of a mixture; 1 of a model without experts.
    pub fn n_experts(&self) -> usize {
        match self {
            Self::Mixtral(published) => published.num_local_experts,
            Self::DeepSeek(published) => published.n_routed_experts,
            Self::Olmoe(published) => published.num_experts,
            Self::Qwen3Moe(published) => published.num_experts,
            Self::Llama(_) => 1,
        }
    }

    /// Tells whether a layer is a mixture of experts.
    pub fn is_mixture(&self, layer: usize) -> bool {
        match self {
            Self::Mixtral(_) | Self::Olmoe(_) => true,
            Self::DeepSeek(published) => published.is_mixture(layer),
            Self::Qwen3Moe(published) => published.is_mixture(layer),
            Self::Llama(_) => false,
        }
    }

    /// Weight of the balance loss over the tokens of all layers together, in families that have it.
    pub fn pooled_balance(&self) -> Option<f64> {
        match self {
            Self::Mixtral(published) => Some(published.router_aux_loss_coef),
            Self::Olmoe(published) => Some(published.router_aux_loss_coef),
            Self::Qwen3Moe(published) => Some(published.router_aux_loss_coef),
            Self::DeepSeek(_) | Self::Llama(_) => None,
        }
    }

    /// The `model_type` of the family.
    pub fn model_type(&self) -> &'static str {
        match self {
            Self::Mixtral(_) => "mixtral",
            Self::DeepSeek(published) => published.generation.model_type(),
            Self::Olmoe(_) => "olmoe",
            Self::Qwen3Moe(_) => "qwen3_moe",
            Self::Llama(_) => "llama",
        }
    }
}

/// The `model_type` of a decoder; a `model` of another name is none.
fn decoder_type(text: &[u8], path: &Path) -> Result<String, PublishedError> {
    let given: Map<String, Value> = json(text, path)?;
    match (given.get("model_type"), given.get("model")) {
        (None, Some(Value::String(found))) => Err(PublishedError::UnknownType {
            path: path.to_owned(),
            found: found.clone(),
        }),
        _ => json::<TypeField>(text, path).map(|field| field.model_type),
    }
}

fn deepseek(
    text: &[u8],
    path: &Path,
    generation: DeepSeekGeneration,
) -> Result<Result<PublishedConfig, Refusal>, PublishedError> {
    let fields = fields::<DeepSeekFields>(generation.model_type(), text, path)?;
    Ok(fields.resolve(generation).map(PublishedConfig::DeepSeek))
}

/// The `model_type` that a `config.json` names, or the `model` (or `name`) where there is none.
///
/// # Errors
///
/// Returns an error if the file cannot be read, or names none.
pub fn model_type(path: &Path) -> Result<String, PublishedError> {
    let text = read_text(path)?;
    let fields: Map<String, Value> = json(&text, path)?;
    let mut names = ["model_type", "model", "name"].iter();
    match names.find_map(|key| fields.get(*key)?.as_str()) {
        Some(name) => Ok(name.to_owned()),
        // says what is missing
        None => json::<TypeField>(&text, path).map(|field| field.model_type),
    }
}

/// The file that says which model a checkpoint is of: `config.json` in a folder, or a GGUF file itself.
pub fn config_file(checkpoint: &Path) -> PathBuf {
    if is_gguf(checkpoint) {
        checkpoint.to_owned()
    } else {
        checkpoint.join("config.json")
    }
}

/// The text of `config.json`; of a GGUF file, what it would be.
pub(crate) fn read_text(path: &Path) -> Result<Vec<u8>, PublishedError> {
    if is_gguf(path) {
        return Ok(Gguf::open(path)?.config_text()?);
    }
    let text = read_at_most(path, MOST_TEXT).map_err(|source| PublishedError::Read {
        path: path.to_owned(),
        source,
    })?;
    if text.starts_with(LFS_PREFIX) {
        return Err(PublishedError::Pointer(path.to_owned()));
    }
    Ok(text)
}

/// The fields of a family, those that are left out with their defaults.
pub(super) fn fields<T: DeserializeOwned>(
    model_type: &str,
    text: &[u8],
    path: &Path,
) -> Result<T, PublishedError> {
    let fields = with_defaults(model_type, json(text, path)?);
    let fields = fields.map_err(|refusal| refusal.at(path))?;
    typed(&fields, path)
}

/// The fields of a text.
pub(super) fn json<T: DeserializeOwned>(text: &[u8], path: &Path) -> Result<T, PublishedError> {
    let parsed = serde_json::from_slice(text);
    let value: Value = parsed.map_err(|error| misunderstood(path, error.to_string()))?;
    typed(&value, path)
}

fn typed<T: DeserializeOwned>(value: &Value, path: &Path) -> Result<T, PublishedError> {
    T::deserialize(value).map_err(|error| {
        let error = error.to_string();
        let what = match culprit::<T>(value, &error) {
            Some(key) => format!("{key}: {error}"),
            None => error,
        };
        misunderstood(path, what)
    })
}

fn misunderstood(path: &Path, what: String) -> PublishedError {
    PublishedError::Json {
        path: path.to_owned(),
        what,
    }
}

/// The path of the field that an error is about: without it there is another error, or none. Flattened
/// fields lose their names before they are read, so that the error itself does not tell.
fn culprit<T: DeserializeOwned>(value: &Value, error: &str) -> Option<String> {
    /// A file with more fields in one place is none of a model.
    const MOST_FIELDS: usize = 1000;
    if error.starts_with("missing field") {
        return None; // names it
    }
    let is_other = |without: &Value| match T::deserialize(without) {
        Ok(_) => true,
        Err(other) => other.to_string() != error,
    };
    let mut path: Vec<String> = Vec::new();
    loop {
        let here = path.iter().try_fold(value, |at, key| at.get(key))?;
        let keys = here
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.keys());
        let found = keys.take(MOST_FIELDS).find(|key| {
            let mut without = value.clone();
            let place = path
                .iter()
                .try_fold(&mut without, |at, key| at.get_mut(key));
            if let Some(Value::Object(fields)) = place {
                fields.remove(*key);
            }
            is_other(&without)
        });
        match found {
            Some(key) => path.push(key.clone()),
            None => return (!path.is_empty()).then(|| path.join(".")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(config: &Value) -> Result<PublishedConfig, PublishedError> {
        PublishedConfig::parse(config.to_string().as_bytes(), Path::new("x/config.json"))
    }

    fn mixtral() -> Value {
        json!({"model_type": "mixtral", "vocab_size": 96, "hidden_size": 32, "intermediate_size": 40,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "num_local_experts": 4, "num_experts_per_tok": 2, "rms_norm_eps": 1e-5,
            "rope_theta": 1e6, "torch_dtype": "float32", "eos_token_id": [2, 3]})
    }

    #[test]
    fn old_and_new_fields_are_one_model() {
        let mut new = mixtral();
        let fields = new.as_object_mut().expect("an object");
        fields.remove("rope_theta");
        fields.remove("torch_dtype");
        fields.insert("dtype".into(), json!("float32"));
        fields.insert(
            "rope_parameters".into(),
            json!({"rope_type": "default", "rope_theta": 1e6}),
        );
        let (old, new) = (parse(&mixtral()), parse(&new));
        let old = old.expect("the old fields");
        assert_eq!(old, new.expect("the new fields"));
        assert_eq!(old.common().eos_token_ids, [2, 3]);
        assert_eq!(old.common().rope.theta, 1e6);
    }

    #[test]
    fn an_unknown_type_names_those_known() {
        let error = parse(&json!({"model_type": "gpt2"})).expect_err("not known");
        assert_eq!(
            error.to_string(),
            "x/config.json: model_type \"gpt2\" is not known here; known are the decoders mixtral, \
             deepseek, deepseek_v2, deepseek_v3, olmoe, qwen3_moe, llama, and besides them switch_transformers and \
             VisionTransformerMoe"
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_key() {
        let cases = [
            ("hidden_size", json!(0)),
            ("attention_bias", json!(true)),
            ("hidden_act", json!("gelu")),
            ("rms_norm_eps", json!(-1.0)),
            ("num_local_experts", json!(1u64 << 40)),
            ("quantization_config", json!({"quant_method": "awq"})),
            ("router_jitter_noise", json!(1.0)),
        ];
        for (key, value) in cases {
            let mut config = mixtral();
            config[key] = value;
            let error = parse(&config).expect_err(key).to_string();
            assert!(
                error.contains(key) && error.contains("x/config.json"),
                "{error}"
            );
        }
        let mut config = mixtral();
        config["router_jitter_noise"] = json!(0.1);
        parse(&config).expect("noise, which inference has not");
    }

    #[test]
    fn a_value_of_another_type_is_refused_with_its_key() {
        let cases = [
            ("vocab_size", json!("many")),
            ("rms_norm_eps", json!([1])),
            ("eos_token_id", json!("end")),
            ("model_type", json!(3)),
            ("rope_scaling", json!({"type": "yarn", "factor": "four"})),
        ];
        for (key, value) in cases {
            let mut config = mixtral();
            config[key] = value;
            let error = parse(&config).expect_err(key).to_string();
            let expected = format!("x/config.json cannot be understood: {key}");
            assert!(error.contains(&expected), "{error}");
        }
        let mut config = mixtral();
        config["rope_scaling"] = json!({"type": "yarn", "factor": "four"});
        let error = parse(&config).expect_err("text").to_string();
        assert!(
            error.contains("rope_scaling.factor: invalid type"),
            "{error}"
        );
        for (text, what) in [("{", "EOF"), ("[]", "invalid type"), ("{}", "`model_type`")] {
            let error = PublishedConfig::parse(text.as_bytes(), Path::new("x")).expect_err(text);
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
