//! Configurations of families that are not known, counted as the family that they resemble.
//!
//! Most decoders of today are variations of a few: grouped-query or latent attention, dense feed-forwards with a gate,
//! mixtures of such. Their sizes have a few names. What a file says besides is not counted, and named.

use super::config::{json, read_text};
use super::{MODEL_TYPES, PublishedConfig, PublishedError, WITHOUT_EFFECT};
use serde_json::{Map, Value, json as value};
use std::path::Path;

/// A configuration that was read as that of another family.
#[derive(Debug, Clone, PartialEq)]
pub struct Resembling {
    /// What was understood, as a family that is known.
    pub config: PublishedConfig,
    /// The `model_type` of the file.
    pub model_type: String,
    /// The fields that were understood.
    pub understood: Vec<String>,
    /// The fields that were not, and may matter.
    pub left: Vec<String>,
}

/// Sizes by the names that are read here, and those that families have for them.
const SIZES: &[(&str, &[&str])] = &[
    ("vocab_size", &["vocab_size", "padded_vocab_size"]),
    ("hidden_size", &["hidden_size", "n_embd", "d_model"]),
    (
        "num_hidden_layers",
        &["num_hidden_layers", "num_layers", "n_layer"],
    ),
    ("num_attention_heads", &["num_attention_heads", "n_head"]),
    (
        "num_key_value_heads",
        &[
            "num_key_value_heads",
            "num_attention_groups",
            "multi_query_group_num",
        ],
    ),
    ("head_dim", &["head_dim", "attention_head_dim"]),
    (
        "intermediate_size",
        &[
            "intermediate_size",
            "intermediate_size_mlp",
            "ffn_hidden_size",
        ],
    ),
    (
        "max_position_embeddings",
        &["max_position_embeddings", "seq_length"],
    ),
    (
        "n_routed_experts",
        &[
            "n_routed_experts",
            "num_experts",
            "num_local_experts",
            "moe_num_experts",
        ],
    ),
    (
        "num_experts_per_tok",
        &[
            "num_experts_per_tok",
            "num_experts_per_token",
            "experts_per_token",
            "moe_top_k",
            "moe_topk",
            "moe_k",
            "top_k_experts",
        ],
    ),
    (
        "moe_intermediate_size",
        &[
            "moe_intermediate_size",
            "expert_ffn_hidden_size",
            "expert_intermediate_size",
        ],
    ),
    (
        "n_shared_experts",
        &[
            "n_shared_experts",
            "num_shared_experts",
            "num_shared_expert",
            "moe_num_shared_experts",
        ],
    ),
    (
        "first_k_dense_replace",
        &[
            "first_k_dense_replace",
            "num_dense_layers",
            "moe_layer_start_index",
        ],
    ),
    ("kv_lora_rank", &["kv_lora_rank"]),
    ("q_lora_rank", &["q_lora_rank"]),
    ("qk_nope_head_dim", &["qk_nope_head_dim"]),
    ("qk_rope_head_dim", &["qk_rope_head_dim"]),
    ("v_head_dim", &["v_head_dim"]),
];

/// Further fields that mean in most families what they mean here.
const OTHERS: &[&str] = &[
    "tie_word_embeddings",
    "rope_theta",
    "rms_norm_eps",
    "torch_dtype",
    "dtype",
];

/// The width of the shared experts together, where a file says that and not their number.
const SHARED_WIDTH: &[&str] = &[
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
];

impl Resembling {
    /// Reads a `config.json` of an unknown `model_type`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, and as [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self, PublishedError> {
        Self::parse(&read_text(path)?, path)
    }

    /// Reads the text of a `config.json` of an unknown `model_type`; `path` is what errors call it. Where the fields of
    /// a decoder are within `text_config`, those are read.
    ///
    /// # Errors
    ///
    /// Returns that the type is not known, if no decoder's sizes are in it, or what is wrong with them.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, PublishedError> {
        let outer: Map<String, Value> = json(text, path)?;
        let model_type = outer
            .get("model_type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let inner = outer.get("text_config").and_then(Value::as_object);
        let fields = inner.unwrap_or(&outer);
        let mut read = Read::of(fields);
        let needed = [
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
        ];
        if MODEL_TYPES.contains(&model_type)
            || needed.iter().any(|key| !read.sizes.contains_key(*key))
        {
            return Err(PublishedError::UnknownType {
                path: path.to_owned(),
                found: model_type.to_owned(),
            });
        }
        read.complete(fields);
        let text = Value::Object(read.sizes).to_string();
        Ok(Self {
            config: PublishedConfig::parse(text.as_bytes(), path)?,
            model_type: model_type.to_owned(),
            left: left(fields, &read.understood),
            understood: read.understood,
        })
    }
}

/// Sizes that were found, and the fields that they are from.
struct Read {
    sizes: Map<String, Value>,
    understood: Vec<String>,
}

impl Read {
    fn of(fields: &Map<String, Value>) -> Self {
        let mut read = Self {
            sizes: Map::new(),
            understood: Vec::new(),
        };
        for (ours, names) in SIZES {
            let found = names
                .iter()
                .find(|name| fields.get(**name).is_some_and(Value::is_u64));
            if let Some(name) = found {
                read.sizes.insert((*ours).to_owned(), fields[*name].clone());
                read.understood.push((*name).to_owned());
            }
        }
        for name in OTHERS {
            if let Some(value) = fields.get(*name).filter(|value| !value.is_null()) {
                read.sizes.insert((*name).to_owned(), value.clone());
                read.understood.push((*name).to_owned());
            }
        }
        read
    }

    /// Chooses the family that has such fields, and says what files leave out.
    fn complete(&mut self, fields: &Map<String, Value>) {
        let has = |sizes: &Map<String, Value>, key: &str| sizes.contains_key(key);
        if !has(&self.sizes, "n_routed_experts") {
            self.sizes.insert("model_type".to_owned(), value!("llama"));
            return;
        }
        let is_latent = has(&self.sizes, "kv_lora_rank");
        let family = if is_latent { "deepseek_v2" } else { "deepseek" };
        let width = self.sizes.get("intermediate_size").cloned();
        let heads = self.sizes.get("num_attention_heads").cloned();
        let defaults = [
            ("num_key_value_heads", heads),
            ("moe_intermediate_size", width),
            ("n_shared_experts", Some(value!(self.shared(fields)))),
            ("n_group", Some(value!(1))),
            ("topk_group", Some(value!(1))),
        ];
        for (key, value) in defaults {
            if let (false, Some(value)) = (has(&self.sizes, key), value) {
                self.sizes.insert(key.to_owned(), value);
            }
        }
        if is_latent && !has(&self.sizes, "q_lora_rank") {
            self.sizes.insert("q_lora_rank".to_owned(), Value::Null);
        }
        self.sizes.insert("model_type".to_owned(), value!(family));
    }

    /// The number of shared experts of the routed ones' width that is as wide as the shared ones together.
    fn shared(&mut self, fields: &Map<String, Value>) -> u64 {
        let width = self
            .sizes
            .get("moe_intermediate_size")
            .and_then(Value::as_u64);
        let named = SHARED_WIDTH
            .iter()
            .find_map(|name| Some((*name, fields.get(*name)?.as_u64()?)));
        match (width, named) {
            (Some(width), Some((name, shared))) if width > 0 && shared % width == 0 => {
                self.understood.push(name.to_owned());
                shared / width
            }
            _ => 0,
        }
    }
}

/// The fields that were not understood and are not known to be without effect.
fn left(fields: &Map<String, Value>, understood: &[String]) -> Vec<String> {
    let is_silent = |value: &Value| value.is_null() || *value == value!(false);
    let left = fields.iter().filter(|(name, value)| {
        !is_silent(value) && !understood.contains(name) && !WITHOUT_EFFECT.contains(&name.as_str())
    });
    left.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(config: &Value) -> Result<Resembling, PublishedError> {
        Resembling::parse(config.to_string().as_bytes(), Path::new("x/config.json"))
    }

    /// The published fields of gpt-oss-120b (OpenAI 2025, arXiv 2508.10925, table 1: 116.83 B parameters).
    #[test]
    fn gpt_oss_is_counted_but_for_its_biases() {
        let config = value!({"model_type": "gpt_oss", "vocab_size": 201_088, "hidden_size": 2880,
            "num_hidden_layers": 36, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64,
            "intermediate_size": 2880, "num_local_experts": 128, "num_experts_per_tok": 4,
            "experts_per_token": 4, "swiglu_limit": 7.0, "attention_bias": true, "sliding_window": 128,
            "tie_word_embeddings": false, "max_position_embeddings": 131_072});
        let read = parse(&config).expect("a mixture");
        let account = read.config.account(16);
        // 2 x 201,088 x 2,880 of embedding and head, the final norm, and of each of 36 layers two norms,
        // 2 x 2,880 x (64 + 8) x 64 of attention, a gate, and 128 experts of 3 x 2,880^2
        let layer = 2 * 2880 + 2 * 2880 * 72 * 64 + 128 * 2880 + 128 * 3 * 2880 * 2880;
        assert_eq!(account.params_total, 2 * 201_088 * 2880 + 2880 + 36 * layer);
        // the paper counts 116.83 B, with biases and sinks
        assert_eq!(account.params_total / 10_000_000, 11_678);
        assert_eq!(
            read.left,
            [
                "attention_bias",
                "experts_per_token",
                "sliding_window",
                "swiglu_limit"
            ]
        );
        assert!(read.understood.contains(&"num_local_experts".to_owned()));
    }

    #[test]
    fn shared_experts_are_counted_by_their_width() {
        let config = value!({"model_type": "qwen2_moe", "vocab_size": 100, "hidden_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 10, "moe_intermediate_size": 3, "num_experts": 4,
            "num_experts_per_tok": 2, "shared_expert_intermediate_size": 12});
        let account = parse(&config).expect("a mixture").config.account(16);
        // embedding and head, three norms, attention, gate, and 4 + 12 / 3 experts
        assert_eq!(
            account.params_total,
            2 * 800 + 3 * 8 + 4 * 64 + 32 + 8 * 3 * 8 * 3
        );
    }

    #[test]
    fn latent_attention_and_inner_configurations_are_understood() {
        let text = value!({"vocab_size": 100, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 10, "moe_intermediate_size": 3, "n_routed_experts": 4, "num_experts_per_tok": 2,
            "first_k_dense_replace": 1, "kv_lora_rank": 4, "q_lora_rank": null, "qk_nope_head_dim": 2,
            "qk_rope_head_dim": 2, "v_head_dim": 3, "scoring_func": "sigmoid"});
        let read =
            parse(&value!({"model_type": "kimi_vl", "text_config": text})).expect("a decoder");
        assert_eq!(read.config.model_type(), "deepseek_v2");
        assert_eq!(read.left, ["scoring_func"]);
    }

    #[test]
    fn what_has_no_sizes_of_a_decoder_is_not_known() {
        for config in [
            value!({"model_type": "clip"}),
            value!({"model_type": "x", "vocab_size": "many"}),
        ] {
            let error = parse(&config).expect_err("no sizes").to_string();
            assert!(error.contains("is not known here"), "{error}");
        }
    }
}
