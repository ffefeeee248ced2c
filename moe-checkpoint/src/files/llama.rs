//! The tensors of Llama.

use super::deepseek::feed_forward;
use super::entry::Entry;
use super::layout::outer;
use super::mixtral::{grouped_query_attention, norms};
use crate::published::PublishedLlama;

/// The entries of a model.
pub(super) fn entries(published: &PublishedLlama) -> impl Iterator<Item = Entry> {
    let common = &published.common;
    let layers = 0..common.num_hidden_layers;
    outer(common).chain(layers.flat_map(move |layer| {
        let (theirs, ours) = (format!("model.layers.{layer}"), format!("layers.{layer}"));
        let (mlp, dense) = (format!("{theirs}.mlp"), format!("{ours}.feed_forward"));
        let width = common.intermediate_size;
        grouped_query_attention(common, &theirs, &ours)
            .into_iter()
            .chain(norms(common, &theirs, &ours, "feed_forward_norm"))
            .chain(feed_forward(common.hidden_size, width, &mlp, &dense))
    }))
}
