//! From the values of a GGUF file to the fields of the published `config.json`.

use super::error::{Fault, GgufError, unsupported};
use super::file::Gguf;
use serde_json::{Map, Value, json};

/// An architecture of llama.cpp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    /// Llama without experts.
    Llama,
    /// Llama with experts: Mixtral.
    Mixtral,
    /// DeepSeek-V2 and V3.
    DeepSeek2,
    /// Qwen3-MoE.
    Qwen3Moe,
    /// OLMoE.
    Olmoe,
}

/// The architectures, as files name them.
const KNOWN: [&str; 4] = ["llama", "deepseek2", "qwen3moe", "olmoe"];

/// Keys and the published fields that say the same in every family.
const COMMON: [(&str, &str); 14] = [
    ("block_count", "num_hidden_layers"),
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.sliding_window", "sliding_window"),
    ("rope.freq_base", "rope_theta"),
    ("expert_used_count", "num_experts_per_tok"),
    ("expert_feed_forward_length", "moe_intermediate_size"),
    ("expert_shared_count", "n_shared_experts"),
    ("expert_weights_norm", "norm_topk_prob"),
    ("expert_weights_scale", "routed_scaling_factor"),
];

/// Keys of scaled rotary positions and the fields of `rope_scaling`.
const SCALING: [(&str, &str); 6] = [
    ("rope.scaling.type", "type"),
    ("rope.scaling.factor", "factor"),
    (
        "rope.scaling.original_context_length",
        "original_max_position_embeddings",
    ),
    ("rope.scaling.yarn_beta_fast", "beta_fast"),
    ("rope.scaling.yarn_beta_slow", "beta_slow"),
    ("rope.scaling.attn_factor", "attention_factor"),
];

/// Keys that say what others say, or what changes nothing.
const WITHOUT_EFFECT: [&str; 3] = [
    "vocab_size",
    "rope.scaling.finetuned",
    "expert_shared_feed_forward_length",
];

/// The keys of an architecture that are not translated yet, without its name before them.
type Left = Map<String, Value>;

impl Gguf {
    /// The text of the published `config.json`.
    pub(crate) fn config_text(&self) -> Result<Vec<u8>, GgufError> {
        let config = self.config().map_err(|fault| fault.at(&self.path))?;
        Ok(format!("{:#}\n", Value::Object(config)).into_bytes())
    }

    /// The architecture.
    pub(super) fn architecture(&self) -> Result<Architecture, Fault> {
        let parts = self.metadata.whole("split.count").unwrap_or(1);
        if parts > 1 {
            return unsupported(format!(
                "it is one of {parts} parts of a model; join them with `llama-gguf-split --merge`"
            ));
        }
        match self.metadata.text("general.architecture") {
            Some("llama") => Ok(match self.metadata.whole("llama.expert_count") {
                None | Some(0) => Architecture::Llama,
                Some(_) => Architecture::Mixtral,
            }),
            Some("deepseek2") => Ok(Architecture::DeepSeek2),
            Some("qwen3moe") => Ok(Architecture::Qwen3Moe),
            Some("olmoe") => Ok(Architecture::Olmoe),
            other => unsupported(format!(
                "the architecture is {}; those that are read from GGUF files are {}",
                other.map_or("not said".to_owned(), |name| format!("\"{name}\"")),
                KNOWN.join(", ")
            )),
        }
    }

    /// The fields of `config.json`. Keys that are not known stay under their own names, so that whoever reads the
    /// fields names them.
    pub(super) fn config(&self) -> Result<Map<String, Value>, Fault> {
        let architecture = self.architecture()?;
        let mut left = self.left();
        let mut fields = self.outer()?;
        for (key, field) in COMMON {
            // a published file may leave out what its family usually has, and here nothing is usual
            fields.insert(field.to_owned(), left.remove(key).into());
        }
        otherwise(&mut fields, "rope_theta", 1e4);
        let heads = fields.get("num_attention_heads").cloned();
        otherwise(&mut fields, "num_key_value_heads", heads);
        if let Some(scaling) = self.scaling(&mut left) {
            fields.insert("rope_scaling".to_owned(), scaling);
        }
        match architecture {
            Architecture::Llama => named(&mut fields, "llama", json!({})),
            Architecture::Mixtral => named(
                &mut fields,
                "mixtral",
                json!({"num_local_experts": left.remove("expert_count")}),
            ),
            Architecture::Qwen3Moe => qwen3_moe(&mut fields, &mut left),
            Architecture::Olmoe => olmoe(&mut fields, &mut left),
            Architecture::DeepSeek2 => deepseek(&mut fields, &mut left),
        }
        if architecture != Architecture::DeepSeek2 {
            head_dim(&mut fields, &mut left);
        }
        // 0 stands for what there is none of
        left.retain(|key, value| !WITHOUT_EFFECT.contains(&key.as_str()) && *value != 0);
        fields.extend(left);
        Ok(fields)
    }

    /// The keys of the architecture.
    fn left(&self) -> Left {
        let name = self.metadata.text("general.architecture");
        let before = format!("{}.", name.unwrap_or_default());
        let keys = self.metadata.keys();
        let of_model = keys.filter_map(|key| Some((key.strip_prefix(&before)?, key)));
        of_model
            .filter_map(|(short, key)| Some((short.to_owned(), self.metadata.json(key)?)))
            .collect()
    }

    /// Fields that other keys or the tensors say.
    fn outer(&self) -> Result<Map<String, Value>, Fault> {
        let embedding = self.tensors.get("token_embd.weight");
        let Some([vocab_size, _]) = embedding.map(|stored| &stored.shape[..]) else {
            return unsupported("it has no matrix token_embd.weight, so it is no language model");
        };
        let mut ends = Vec::new();
        for kind in ["eos", "eot", "eom"] {
            let id = self
                .metadata
                .whole(&format!("tokenizer.ggml.{kind}_token_id"));
            ends.extend(id.filter(|id| !ends.contains(id)));
        }
        let fields = json!({
            "vocab_size": vocab_size,
            "hidden_act": "silu",
            "bos_token_id": self.metadata.whole("tokenizer.ggml.bos_token_id"),
            "eos_token_id": ends,
            "tie_word_embeddings": !self.tensors.contains_key("output.weight"),
        });
        let Value::Object(fields) = fields else {
            return unsupported("it has no fields");
        };
        Ok(fields)
    }

    /// The scaling of rotary positions, if there is any.
    fn scaling(&self, left: &mut Left) -> Option<Value> {
        let found = SCALING.map(|(key, field)| Some((field.to_owned(), left.remove(key)?)));
        let mut fields: Map<String, Value> = found.into_iter().flatten().collect();
        // a tenth of what DeepSeek calls mscale_all_dim; in its models mscale is as large
        let multiplier = left.remove("rope.scaling.yarn_log_multiplier");
        if let Some(multiplier) = multiplier.and_then(|value| value.as_f64()) {
            for field in ["mscale", "mscale_all_dim"] {
                fields.insert(field.to_owned(), (multiplier / 0.1).into());
            }
        }
        if self.tensors.contains_key("rope_freqs.weight") {
            fields.insert("type".to_owned(), "llama3".into());
        }
        let is_plain = fields.get("type").is_none_or(|kind| kind == "none");
        (!is_plain).then_some(Value::Object(fields))
    }
}

/// Sets a field that the file does not say.
fn otherwise(fields: &mut Map<String, Value>, field: &str, value: impl Into<Value>) {
    let said = fields.entry(field).or_insert(Value::Null);
    if said.is_null() {
        *said = value.into();
    }
}

/// Sets the family and fields of its own.
fn named(fields: &mut Map<String, Value>, model_type: &str, own: Value) {
    fields.insert("model_type".to_owned(), model_type.into());
    if let Value::Object(own) = own {
        fields.extend(own);
    }
}

fn qwen3_moe(fields: &mut Map<String, Value>, left: &mut Left) {
    otherwise(fields, "norm_topk_prob", true); // as llama.cpp has it for this family
    let own = json!({
        "num_experts": left.remove("expert_count"),
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    });
    named(fields, "qwen3_moe", own);
}

fn olmoe(fields: &mut Map<String, Value>, left: &mut Left) {
    let own = json!({
        "num_experts": left.remove("expert_count"),
        "clip_qkv": left.remove("attention.clamp_kqv"),
    });
    named(fields, "olmoe", own);
}

/// DeepSeek-V2, or V3 where the gate is a sigmoid. Heads of latent attention are counted as published: newer files
/// say one head of keys and values, as wide as the latent vector, and the published widths besides.
fn deepseek(fields: &mut Map<String, Value>, left: &mut Left) {
    const SIGMOID: u64 = 2;
    let mut whole = |key: &str| left.remove(key).and_then(|value| value.as_u64());
    let is_v3 = whole("expert_gating_func") == Some(SIGMOID);
    let positions = whole("rope.dimension_count").unwrap_or(0);
    let [key, value] = ["key", "value"].map(|part| {
        let latent = whole(&format!("attention.{part}_length"));
        whole(&format!("attention.{part}_length_mla")).or(latent)
    });
    let n_groups = whole("expert_group_count").unwrap_or(1);
    let further = whole("nextn_predict_layers").unwrap_or(0);
    let layers = fields.get("num_hidden_layers").and_then(Value::as_u64);
    let method = match (is_v3, n_groups) {
        (true, _) => "noaux_tc",
        (false, 1) => "greedy",
        (false, _) => "group_limited_greedy",
    };
    let own = json!({
        "num_hidden_layers": layers.map(|n| n.saturating_sub(further)),
        "num_nextn_predict_layers": further,
        "num_key_value_heads": fields.get("num_attention_heads"),
        "n_routed_experts": whole("expert_count"),
        "first_k_dense_replace": whole("leading_dense_block_count").unwrap_or(0),
        "topk_method": method,
        "scoring_func": if is_v3 { "sigmoid" } else { "softmax" },
        "n_group": n_groups,
        "topk_group": whole("expert_group_used_count").unwrap_or(1),
        "q_lora_rank": whole("attention.q_lora_rank"),
        "kv_lora_rank": whole("attention.kv_lora_rank"),
        "qk_rope_head_dim": positions,
        "qk_nope_head_dim": key.map(|key| key.saturating_sub(positions)),
        "v_head_dim": value,
    });
    named(
        fields,
        if is_v3 { "deepseek_v3" } else { "deepseek_v2" },
        own,
    );
}

/// The width of heads, and how much of it is rotated.
fn head_dim(fields: &mut Map<String, Value>, left: &mut Left) {
    let whole = |value: Option<&Value>| value.and_then(Value::as_u64);
    let key = left.remove("attention.key_length");
    let width = whole(key.as_ref()).or_else(|| {
        let heads = whole(fields.get("num_attention_heads"))?;
        whole(fields.get("hidden_size"))?.checked_div(heads)
    });
    if let Some(key) = key {
        fields.insert("head_dim".to_owned(), key);
    }
    if whole(left.get("attention.value_length")) == width {
        left.remove("attention.value_length");
    }
    let rotated = whole(left.remove("rope.dimension_count").as_ref());
    if let (Some(rotated), Some(width)) = (rotated, width)
        && rotated != width
    {
        let share = rotated as f64 / width as f64;
        fields.insert("partial_rotary_factor".to_owned(), share.into());
    }
}
