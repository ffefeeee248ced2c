//! Fields of a `config.json` that are not read. Those that change nothing that is computed here are listed;
//! any other is told to the reader, since nobody knows what it would change.

use serde_json::{Map, Value};

/// Fields without effect: where a model comes from, how it was initialised, how a program runs it, what is
/// dropped out in training (nothing is, here), how texts are drawn, and sizes that follow from others.
pub const WITHOUT_EFFECT: &[&str] = &[
    "_attn_implementation",
    "_commit_hash",
    "_name_or_path",
    "add_cross_attention",
    "add_router_probs",
    "architectures",
    "attention_dropout",
    "attention_dropout_rate",
    "attn_implementation",
    "auto_map",
    "bos_token_id",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "compute_similarity_metrics",
    "decoder_sparse_step",
    "do_sample",
    "dropout_rate",
    "dtype",
    "early_stopping",
    "encoder_sparse_step",
    "ep_size",
    "experts_implementation",
    "feed_forward_proj",
    "gradient_checkpointing",
    "id2label",
    "initializer_factor",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "label2id",
    "length_penalty",
    "max_length",
    // in the reference every layer of Qwen3-MoE has the window or none has
    "max_window_layers",
    "min_length",
    "model",
    "model_type",
    "n_positions",
    "name",
    "num_beams",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_router_logits",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "qk_head_dim",
    "repetition_penalty",
    "return_dict",
    "router_ignore_padding_tokens",
    "router_type",
    "sep_token_id",
    "split_rngs",
    "task_specific_params",
    "temperature",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "transformers_version",
    "unk_token_id",
    "use_cache",
];

/// Of the fields that are left after reading, those that are not known to be without effect, with what
/// they are in before their names.
pub(super) fn unknown(left: &Map<String, Value>, within: &str) -> Vec<String> {
    let unknown = left
        .iter()
        .filter(|(key, value)| !value.is_null() && !WITHOUT_EFFECT.contains(&key.as_str()));
    unknown.map(|(key, _)| format!("{within}{key}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_names_each_field_once() {
        assert!(WITHOUT_EFFECT.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
