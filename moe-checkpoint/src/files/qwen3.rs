//! The tensors of Qwen3-MoE.

use super::deepseek::{feed_forward, routed};
use super::entry::Entry;
use super::layout::{BankSizes, outer};
use super::mixtral::{grouped_query_attention, norms, qk_norms};
use crate::published::PublishedQwen3Moe;

/// The entries of a model.
pub(super) fn entries(published: &PublishedQwen3Moe) -> impl Iterator<Item = Entry> {
    let layers = 0..published.common.num_hidden_layers;
    outer(&published.common).chain(layers.flat_map(move |layer| block(published, layer)))
}

fn block(published: &PublishedQwen3Moe, layer: usize) -> Box<dyn Iterator<Item = Entry> + '_> {
    let common = &published.common;
    let (theirs, ours) = (format!("model.layers.{layer}"), format!("layers.{layer}"));
    let before = grouped_query_attention(common, &theirs, &ours)
        .into_iter()
        .chain(qk_norms([common.resolved_head_dim(); 2], &theirs, &ours))
        .chain(norms(common, &theirs, &ours, "feed_forward_norm"));
    let (theirs, ours) = (format!("{theirs}.mlp"), format!("{ours}.feed_forward"));
    let d_model = common.hidden_size;
    if published.is_mixture(layer) {
        let sizes = BankSizes {
            n_experts: published.num_experts,
            d_model,
            d_expert: published.moe_intermediate_size,
        };
        Box::new(before.chain(routed(sizes, &theirs, &ours)))
    } else {
        let dense = feed_forward(d_model, common.intermediate_size, &theirs, &ours);
        Box::new(before.chain(dense))
    }
}
