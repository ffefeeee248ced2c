//! Values of fields that a `config.json` leaves out: those of transformers 5.23 (`configuration_*.py`), and
//! of DeepSeekMoE those of the code published with it (`configuration_deepseek.py` of
//! deepseek-moe-16b-base).
//!
//! Fields whose absence means something other than `null` are here; the base of the rotary angles, which
//! several fields may say, is with [`RopeFields`](super::rope::RopeFields).

use super::error::Refusal;
use serde_json::{Map, Value, json};

/// The base of the rotary angles of a family, if nothing says another.
pub(super) fn rope_theta(model_type: &str) -> f64 {
    match model_type {
        "mixtral" => 1e6,
        _ => 1e4,
    }
}

/// Other names that the reference has for a field of a family.
fn aliases(model_type: &str) -> &'static [(&'static str, &'static str)] {
    match model_type {
        "mixtral" => &[("num_experts", "num_local_experts")],
        "deepseek_v2" => &[("num_experts", "n_routed_experts")],
        "deepseek_v3" => &[("num_local_experts", "n_routed_experts")],
        "olmoe" | "qwen3_moe" => &[("num_local_experts", "num_experts")],
        "switch_transformers" => &[
            ("hidden_size", "d_model"),
            ("num_attention_heads", "num_heads"),
            ("num_hidden_layers", "num_layers"),
        ],
        _ => &[],
    }
}

/// The fields of a `config.json` with those that it leaves out.
///
/// # Errors
///
/// Returns a field that is said twice by two names, with other values.
pub(super) fn with_defaults(
    model_type: &str,
    mut given: Map<String, Value>,
) -> Result<Value, Refusal> {
    for (alias, key) in aliases(model_type) {
        let Some(value) = given.remove(*alias) else {
            continue;
        };
        match given.get(*key) {
            Some(other) if *other != value => {
                let rule = format!("{key} says {other}; remove one of the two");
                return Err(Refusal::new(alias, value, rule));
            }
            _ => given.insert((*key).to_owned(), value),
        };
    }
    let mut fields = match defaults(model_type) {
        Value::Object(defaults) => defaults,
        _ => Map::new(),
    };
    fields.extend(given);
    Ok(Value::Object(fields))
}

fn defaults(model_type: &str) -> Value {
    match model_type {
        "mixtral" => mixtral(),
        "deepseek" => deepseek_moe(),
        "deepseek_v2" => deepseek_v2(),
        "deepseek_v3" => deepseek_v3(),
        "olmoe" => olmoe(),
        "qwen3_moe" => qwen3_moe(),
        "llama" => llama(),
        _ => Value::Null,
    }
}

fn mixtral() -> Value {
    json!({
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-5, "eos_token_id": 2, "num_experts_per_tok": 2, "num_local_experts": 8,
        "router_aux_loss_coef": 0.001
    })
}

fn deepseek_moe() -> Value {
    json!({
        "vocab_size": 102_400, "hidden_size": 4096, "intermediate_size": 11008,
        "moe_intermediate_size": 1407, "num_hidden_layers": 30, "num_attention_heads": 32,
        "num_key_value_heads": 32, "moe_layer_freq": 1, "first_k_dense_replace": 0,
        "norm_topk_prob": false, "aux_loss_alpha": 0.001, "seq_aux": true,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "eos_token_id": 100_001
    })
}

fn deepseek_v2() -> Value {
    json!({
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
        "moe_intermediate_size": 1407, "num_hidden_layers": 32, "num_attention_heads": 32,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "eos_token_id": 2,
        "first_k_dense_replace": 0, "kv_lora_rank": 512, "q_lora_rank": 1536, "n_routed_experts": 64,
        "n_shared_experts": 2, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "routed_scaling_factor": 1.0, "norm_topk_prob": false
    })
}

fn deepseek_v3() -> Value {
    json!({
        "vocab_size": 129_280, "hidden_size": 7168, "intermediate_size": 18432,
        "moe_intermediate_size": 2048, "num_hidden_layers": 61, "num_attention_heads": 128,
        "num_key_value_heads": 128, "max_position_embeddings": 4096, "rms_norm_eps": 1e-6,
        "eos_token_id": 1, "first_k_dense_replace": 3, "kv_lora_rank": 512, "q_lora_rank": 1536,
        "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "routed_scaling_factor": 2.5, "norm_topk_prob": true, "n_group": 8, "topk_group": 4
    })
}

fn olmoe() -> Value {
    json!({
        "vocab_size": 50304, "hidden_size": 2048, "intermediate_size": 2048, "num_hidden_layers": 16,
        "num_attention_heads": 16, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
        "eos_token_id": 50279, "num_experts_per_tok": 8, "num_experts": 64, "norm_topk_prob": false,
        "router_aux_loss_coef": 0.01
    })
}

fn qwen3_moe() -> Value {
    json!({
        "vocab_size": 151_936, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 24,
        "num_attention_heads": 32, "num_key_value_heads": 4, "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6, "decoder_sparse_step": 1, "moe_intermediate_size": 768,
        "num_experts_per_tok": 8, "num_experts": 128, "norm_topk_prob": false,
        "router_aux_loss_coef": 0.001, "sliding_window": 4096
    })
}

fn llama() -> Value {
    json!({
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "eos_token_id": 2
    })
}

#[cfg(test)]
mod tests {
    use super::super::{
        Common, DeepSeekGeneration, PublishedConfig, PublishedDeepSeek, PublishedError,
        PublishedOlmoe, PublishedRope, PublishedSwitch,
    };
    use super::*;
    use std::path::Path;

    fn parse(config: &Value) -> Result<PublishedConfig, PublishedError> {
        PublishedConfig::parse(config.to_string().as_bytes(), Path::new("x/config.json"))
    }

    #[test]
    fn what_is_left_out_is_as_in_the_reference() {
        let read = |config: Value| parse(&config).expect("defaults");
        let PublishedConfig::Mixtral(mixtral) = read(json!({"model_type": "mixtral"})) else {
            panic!("a Mixtral");
        };
        let common = &mixtral.common;
        assert_eq!(
            (common.num_key_value_heads, common.max_position_embeddings),
            (8, 131_072)
        );
        assert_eq!(
            (common.rope.theta, &common.eos_token_ids[..]),
            (1e6, &[2][..])
        );
        let config = json!({"model_type": "deepseek_v2", "num_experts_per_tok": 6});
        let PublishedConfig::DeepSeek(v2) = read(config) else {
            panic!("a DeepSeek");
        };
        assert_eq!((v2.n_shared_experts, v2.n_group, v2.topk_group), (2, 1, 1));
        assert_eq!(v2.latent.expect("latent").q_lora_rank, Some(1536));
        assert_eq!(
            (v2.common.num_key_value_heads, v2.common.rope.theta),
            (32, 1e4)
        );
        let PublishedConfig::DeepSeek(v3) = read(json!({"model_type": "deepseek_v3"})) else {
            panic!("a DeepSeek");
        };
        assert_eq!(
            (v3.n_group, v3.topk_group, v3.num_experts_per_tok),
            (8, 4, 8)
        );
        assert_eq!(
            (v3.routed_scaling_factor, v3.first_k_dense_replace),
            (2.5, 3)
        );
    }

    #[test]
    fn what_deepseek_moe_leaves_out_is_as_in_the_code_published_with_it() {
        let error = parse(&json!({"model_type": "deepseek", "num_experts_per_tok": 6}));
        let error = error
            .expect_err("its code has no number of experts")
            .to_string();
        assert!(error.contains("n_routed_experts = null"), "{error}");
        let config =
            json!({"model_type": "deepseek", "n_routed_experts": 64, "num_experts_per_tok": 6});
        let expected = PublishedDeepSeek {
            generation: DeepSeekGeneration::V1,
            common: Common {
                vocab_size: 102_400,
                hidden_size: 4096,
                intermediate_size: 11008,
                num_hidden_layers: 30,
                num_attention_heads: 32,
                num_key_value_heads: 32,
                head_dim: None,
                max_position_embeddings: 2048,
                rms_norm_eps: 1e-6,
                tie_word_embeddings: false,
                rope: PLAIN,
                dtype: None,
                eos_token_ids: vec![100_001],
                unread: Vec::new(),
            },
            moe_intermediate_size: 1407,
            n_routed_experts: 64,
            n_shared_experts: 0, // None
            num_experts_per_tok: 6,
            first_k_dense_replace: 0,
            moe_layer_freq: 1,
            norm_topk_prob: false,
            routed_scaling_factor: 1.0, // there is none
            n_group: 1,                 // there are none
            topk_group: 1,
            aux_loss_alpha: 0.001,
            seq_aux: true,
            latent: None,
            num_nextn_predict_layers: 0,
        };
        let read = parse(&config).expect("defaults");
        assert_eq!(read, PublishedConfig::DeepSeek(expected));
    }

    #[test]
    fn what_olmoe_leaves_out_is_as_in_the_reference() {
        let expected = PublishedOlmoe {
            common: Common {
                vocab_size: 50304,
                hidden_size: 2048,
                intermediate_size: 2048,
                num_hidden_layers: 16,
                num_attention_heads: 16,
                num_key_value_heads: 16, // None: as many as queries
                head_dim: None,
                max_position_embeddings: 4096,
                rms_norm_eps: 1e-5,
                tie_word_embeddings: false,
                rope: PLAIN,
                dtype: None,
                eos_token_ids: vec![50279],
                unread: Vec::new(),
            },
            num_experts: 64,
            num_experts_per_tok: 8,
            norm_topk_prob: false,
            router_aux_loss_coef: 0.01,
            clip_qkv: None,
        };
        let read = parse(&json!({"model_type": "olmoe"})).expect("defaults");
        assert_eq!(read, PublishedConfig::Olmoe(expected));
    }

    #[test]
    fn what_qwen3_moe_and_llama_leave_out_is_as_in_the_reference() {
        let read = |model_type: &str| parse(&json!({"model_type": model_type})).expect("defaults");
        let PublishedConfig::Qwen3Moe(qwen3) = read("qwen3_moe") else {
            panic!("a Qwen3-MoE");
        };
        let common = &qwen3.common;
        assert_eq!(
            (
                common.vocab_size,
                common.hidden_size,
                common.num_hidden_layers
            ),
            (151_936, 2048, 24)
        );
        // head_dim is hidden_size / num_attention_heads in the code, and None in the configuration
        assert_eq!((common.head_dim, common.resolved_head_dim()), (None, 64));
        assert_eq!((common.num_key_value_heads, common.rope), (4, PLAIN));
        assert_eq!((qwen3.num_experts, qwen3.num_experts_per_tok), (128, 8));
        assert_eq!(
            (qwen3.norm_topk_prob, qwen3.router_aux_loss_coef),
            (false, 0.001)
        );
        // `sliding_window` is 4096, and `use_sliding_window` is false
        assert_eq!(qwen3.sliding_window, None);
        assert!((0..24).all(|layer| qwen3.is_mixture(layer)));

        let llama = read("llama");
        assert_eq!(llama.common().num_key_value_heads, 32);
        assert_eq!(llama.common().rms_norm_eps, 1e-6);
        // Llama-7B: 2 x 32,000 x 4,096 + 32 (4 x 4,096^2 + 3 x 4,096 x 11,008 + 2 x 4,096) + 4,096
        assert_eq!(llama.account(16).params_total, 6_738_415_616);
    }

    /// Positions of the base 10000, which is the default of every family but Mixtral.
    const PLAIN: PublishedRope = PublishedRope {
        theta: 1e4,
        yarn: None,
    };

    #[test]
    fn null_is_not_left_out() {
        let config = json!({"model_type": "mixtral", "num_key_value_heads": null});
        let config = parse(&config).expect("as many as queries");
        assert_eq!(config.common().num_key_value_heads, 32);
        for (model_type, key) in [
            ("deepseek_v2", "num_experts_per_tok"),
            ("deepseek", "n_routed_experts"),
            ("deepseek_v3", "kv_lora_rank"),
        ] {
            let mut config = json!({"model_type": model_type, "num_experts_per_tok": 6});
            config[key] = Value::Null;
            let error = parse(&config).expect_err(key).to_string();
            assert!(error.contains(&format!("{key} = null")), "{error}");
        }
    }

    #[test]
    fn a_field_has_one_value_by_all_its_names() {
        let error =
            parse(&json!({"model_type": "mixtral", "num_experts": 4, "num_local_experts": 8}));
        let error = error.expect_err("two numbers").to_string();
        assert!(
            error.contains("num_experts = 4: num_local_experts says 8"),
            "{error}"
        );
        let PublishedConfig::Mixtral(four) =
            parse(&json!({"model_type": "mixtral", "num_experts": 4})).expect("one number")
        else {
            panic!("a Mixtral");
        };
        assert_eq!(four.num_local_experts, 4);
        let olmoe = json!({"model_type": "olmoe", "num_local_experts": 16});
        let PublishedConfig::Olmoe(sixteen) = parse(&olmoe).expect("one number") else {
            panic!("an OLMoE");
        };
        assert_eq!(sixteen.num_experts, 16);
        let switch = PublishedSwitch::parse(br#"{"hidden_size": 96}"#, Path::new("x"));
        assert_eq!(switch.expect("one width").d_model, 96);
    }
}
