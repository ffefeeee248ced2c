//! Faults of a model's sizes, in the words of the published `config.json` that they come from.

use moe_models::ModelError;

/// Our keys and those of a family; a key that begins another comes after it.
type Words = &'static [(&'static str, &'static str)];

const DECODER: Words = &[
    ("data.vocab_size", "vocab_size"),
    ("model.n_layers", "num_hidden_layers"),
    ("model.n_dense_layers", "first_k_dense_replace"),
    ("model.moe_every", "moe_layer_freq"),
    ("model.d_dense", "intermediate_size"),
    ("router.top_k", "num_experts_per_tok"),
    (
        "router groups do not fit",
        "n_routed_experts, n_group, topk_group and num_experts_per_tok do not fit together",
    ),
    ("router.", ""),
    ("[attention] ", ""),
    (
        "the head width is",
        "head_dim, or hidden_size / num_attention_heads without it, is",
    ),
    ("`n_kv_heads`", "num_key_value_heads"),
    ("`n_heads`", "num_attention_heads"),
    ("`d_model`", "hidden_size"),
    ("topk_groups", "topk_group"),
    ("n_groups", "n_group"),
];

const MIXTRAL: Words = &[
    ("experts.n_experts", "num_local_experts"),
    ("experts.d_expert", "intermediate_size"),
];

const OLMOE: Words = &[
    ("experts.n_experts", "num_experts"),
    ("experts.d_expert", "intermediate_size"),
    ("qk_norm_eps", "rms_norm_eps"),
];

const QWEN3: Words = &[
    ("model.moe_every", "decoder_sparse_step"),
    ("experts.n_experts", "num_experts"),
    ("experts.d_expert", "moe_intermediate_size"),
    ("qk_norm_eps", "rms_norm_eps"),
];

const DEEPSEEK: Words = &[
    ("experts.n_experts", "n_routed_experts"),
    ("experts.d_expert", "moe_intermediate_size"),
];

const SWITCH: Words = &[
    ("data.vocab_size", "vocab_size"),
    ("experts.n_experts", "num_experts"),
    ("experts.d_expert", "d_ff"),
    ("model.d_dense", "d_ff"),
    ("[attention] ", ""),
    ("`n_buckets`", "relative_attention_num_buckets"),
    ("`max_distance`", "relative_attention_max_distance"),
];

const VISION: Words = &[
    ("model.image_size", "image_size"),
    ("model.patch_size", "patch_size"),
    ("model.n_channels", "num_channels"),
    ("model.n_classes", "num_classes"),
    ("model.n_layers", "encoder.num_layers"),
    ("model.d_model", "hidden_size"),
    ("model.d_mlp", "encoder.mlp_dim"),
    ("model.d_pre_logits", "representation_size"),
    ("model.moe_layers", "encoder.moe.layers"),
    ("model.group_images", "encoder.moe.group_size"),
    ("attention.n_heads", "encoder.num_heads"),
    ("experts.n_experts", "encoder.moe.num_experts"),
    ("experts.d_expert", "encoder.moe.mlp_dim"),
    ("router.top_k", "encoder.moe.router.num_selected_experts"),
    (
        "router.capacity_factor",
        "encoder.moe.router.dispatcher.capacity_factor",
    ),
    ("router.", "encoder.moe.router."),
];

/// An error with the keys of the family that a `model_type` (or a `model`) names.
pub(crate) fn in_words_of(model_type: &str, error: &ModelError) -> String {
    let families: &[Words] = match model_type {
        "switch_transformers" => &[SWITCH],
        "VisionTransformerMoe" => &[VISION],
        "mixtral" => &[DECODER, MIXTRAL],
        "olmoe" => &[DECODER, OLMOE],
        "qwen3_moe" => &[QWEN3, DECODER],
        _ => &[DECODER, DEEPSEEK],
    };
    let words = families.iter().copied().flatten();
    words.fold(error.to_string(), |text, (ours, theirs)| {
        text.replace(ours, theirs)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{PublishedConfig, PublishedSwitch, PublishedVmoe};
    use serde_json::{Value, json};
    use std::path::Path;

    /// Returns the fault of a configuration.
    fn problem(config: &Value) -> String {
        let (text, path) = (config.to_string(), Path::new("x/config.json"));
        let text = text.as_bytes();
        let result = match config["model_type"].as_str() {
            Some("switch_transformers") => PublishedSwitch::parse(text, path).map(drop),
            None => PublishedVmoe::parse(text, path).map(drop),
            _ => PublishedConfig::parse(text, path).and_then(|config| config.check(16, path)),
        };
        result.expect_err("it is refused").to_string()
    }

    #[test]
    fn keys_are_those_of_the_file() {
        let vision = |key: &str, value: Value| {
            let mut encoder = json!({"num_layers": 2, "mlp_dim": 6, "num_heads": 2,
                "moe": {"layers": [1], "num_experts": 2, "group_size": 4,
                    "router": {"dispatcher": {"capacity_factor": 2.0, "batch_priority": false}}}});
            encoder[key] = value;
            json!({"image_size": 4, "num_classes": 3, "patch_size": 2, "hidden_size": 4,
                "encoder": encoder})
        };
        let cases = [
            (
                json!({"model_type": "mixtral", "num_experts_per_tok": 9}),
                "num_experts_per_tok = 9 is larger than num_local_experts = 8",
            ),
            (
                json!({"model_type": "mixtral", "num_key_value_heads": 5}),
                "num_key_value_heads = 5 does not divide num_attention_heads = 32",
            ),
            (
                json!({"model_type": "deepseek_v3", "num_experts_per_tok": 300}),
                "num_experts_per_tok = 300 is larger than n_routed_experts = 256",
            ),
            (
                json!({"model_type": "deepseek_v3", "n_group": 7}),
                "n_group",
            ),
            (
                json!({"model_type": "deepseek_v3", "n_group": 128, "num_experts_per_tok": 9}),
                "n_routed_experts, n_group, topk_group and num_experts_per_tok",
            ),
            (
                json!({"model_type": "mixtral", "num_attention_heads": 4096}),
                "num_attention_heads",
            ),
            (
                json!({"model_type": "switch_transformers", "relative_attention_num_buckets": 2}),
                "relative_attention_num_buckets is 2",
            ),
            (vision("num_heads", json!(3)), "encoder.num_heads"),
        ];
        for (config, expected) in cases {
            let error = problem(&config);
            assert!(error.contains(expected), "{error}");
            for ours in [
                "router.top_k",
                "experts.",
                "model.",
                "n_groups",
                "attention.",
            ] {
                assert!(!error.replace("encoder.moe.", "").contains(ours), "{error}");
            }
        }
    }
}
