//! Names of tensors in GGUF files and as published.

use super::config::Architecture;

/// Tensors outside of layers.
const OUTER: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

/// Tensors of a layer: `blk.N.` and the first, or `model.layers.N.` and the second.
const LAYER: [(&str, &str); 29] = [
    ("attn_norm.weight", "input_layernorm.weight"),
    ("ffn_norm.weight", "post_attention_layernorm.weight"),
    (QUERIES, "self_attn.q_proj.weight"),
    (KEYS, "self_attn.k_proj.weight"),
    ("attn_v.weight", "self_attn.v_proj.weight"),
    ("attn_output.weight", "self_attn.o_proj.weight"),
    ("attn_q_norm.weight", "self_attn.q_norm.weight"),
    ("attn_k_norm.weight", "self_attn.k_norm.weight"),
    ("attn_q_a.weight", "self_attn.q_a_proj.weight"),
    ("attn_q_a_norm.weight", "self_attn.q_a_layernorm.weight"),
    ("attn_q_b.weight", "self_attn.q_b_proj.weight"),
    (
        "attn_kv_a_mqa.weight",
        "self_attn.kv_a_proj_with_mqa.weight",
    ),
    ("attn_kv_a_norm.weight", "self_attn.kv_a_layernorm.weight"),
    (LATENT, "self_attn.kv_b_proj.weight"),
    (LATENT_KEYS, "self_attn.kv_b_proj.weight"),
    ("ffn_gate.weight", "mlp.gate_proj.weight"),
    ("ffn_up.weight", "mlp.up_proj.weight"),
    ("ffn_down.weight", "mlp.down_proj.weight"),
    ("ffn_gate_inp.weight", "mlp.gate.weight"),
    ("exp_probs_b.bias", "mlp.gate.e_score_correction_bias"),
    (
        "ffn_gate_shexp.weight",
        "mlp.shared_experts.gate_proj.weight",
    ),
    ("ffn_up_shexp.weight", "mlp.shared_experts.up_proj.weight"),
    (
        "ffn_down_shexp.weight",
        "mlp.shared_experts.down_proj.weight",
    ),
    ("nextn.eh_proj.weight", "eh_proj.weight"),
    ("nextn.enorm.weight", "enorm.weight"),
    ("nextn.hnorm.weight", "hnorm.weight"),
    ("nextn.embed_tokens.weight", "embed_tokens.weight"),
    ("nextn.shared_head_norm.weight", "shared_head.norm.weight"),
    ("nextn.shared_head_head.weight", "shared_head.head.weight"),
];

/// Matrices of all experts of a layer: of these the names, and those of an expert's own in most families and in
/// Mixtral.
const EXPERTS: [(&str, &str, &str); 3] = [
    ("ffn_gate_exps.weight", "gate_proj", "w1"),
    ("ffn_up_exps.weight", "up_proj", "w3"),
    ("ffn_down_exps.weight", "down_proj", "w2"),
];

/// The projections to queries and keys.
pub(super) const QUERIES: &str = "attn_q.weight";
pub(super) const KEYS: &str = "attn_k.weight";

/// The expansion of latent vectors to keys and values, in one or in two parts.
pub(super) const LATENT: &str = "attn_kv_b.weight";
pub(super) const LATENT_KEYS: &str = "attn_k_b.weight";
pub(super) const LATENT_VALUES: &str = "attn_v_b.weight";

/// The layer of a tensor, and its name there.
pub(super) fn in_layer(name: &str) -> Option<(usize, &str)> {
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    Some((layer.parse().ok()?, rest))
}

/// The published name of a tensor; its own if it is not known.
pub(super) fn published(name: &str, architecture: Architecture) -> String {
    let of = |table: &[(&str, &'static str)], name: &str| {
        let found = table.iter().find(|(theirs, _)| *theirs == name);
        found.map(|(_, published)| *published)
    };
    if let Some(outer) = of(&OUTER, name) {
        return outer.to_owned();
    }
    match in_layer(name) {
        Some((layer, "ffn_gate_inp.weight")) if architecture == Architecture::Mixtral => {
            format!("model.layers.{layer}.block_sparse_moe.gate.weight")
        }
        Some((layer, rest)) => match of(&LAYER, rest) {
            Some(published) => format!("model.layers.{layer}.{published}"),
            None => name.to_owned(),
        },
        None => name.to_owned(),
    }
}

/// The published names of the matrices that a tensor of all experts holds, with the expert's number left out; none
/// of another tensor.
pub(super) fn experts(name: &str, architecture: Architecture) -> Option<impl Fn(usize) -> String> {
    let (layer, rest) = in_layer(name)?;
    let (_, usual, mixtral) = EXPERTS.iter().find(|(merged, ..)| *merged == rest)?;
    let (experts, matrix) = match architecture {
        Architecture::Mixtral => ("block_sparse_moe", mixtral),
        _ => ("mlp", usual),
    };
    Some(move |e| format!("model.layers.{layer}.{experts}.experts.{e}.{matrix}.weight"))
}
