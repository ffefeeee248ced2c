//! The tensors of OLMoE.

use super::deepseek::routed;
use super::entry::Entry;
use super::layout::{BankSizes, outer};
use super::mixtral::{grouped_query_attention, norms, qk_norms};
use crate::published::PublishedOlmoe;

/// The entries of a model.
pub(super) fn entries(published: &PublishedOlmoe) -> impl Iterator<Item = Entry> {
    let common = &published.common;
    let head_dim = common.resolved_head_dim();
    let widths = [common.num_attention_heads, common.num_key_value_heads].map(|n| n * head_dim);
    let sizes = BankSizes {
        n_experts: published.num_experts,
        d_model: common.hidden_size,
        d_expert: common.intermediate_size,
    };
    let layers = 0..common.num_hidden_layers;
    outer(common).chain(layers.flat_map(move |layer| {
        let (theirs, ours) = (format!("model.layers.{layer}"), format!("layers.{layer}"));
        grouped_query_attention(common, &theirs, &ours)
            .into_iter()
            .chain(qk_norms(widths, &theirs, &ours))
            .chain(norms(common, &theirs, &ours, "moe_norm"))
            .chain(routed(
                sizes,
                &format!("{theirs}.mlp"),
                &format!("{ours}.moe"),
            ))
    }))
}
