//! The tensors of Mixtral.

use super::entry::Entry;
use super::layout::{BankSizes, ExpertNames, bank, outer};
use crate::published::{Common, PublishedMixtral};

static NAMES: ExpertNames = ExpertNames {
    gate: "w1",
    up: "w3",
    down: "w2",
};

/// The entries of a model.
pub(super) fn entries(published: &PublishedMixtral) -> impl Iterator<Item = Entry> {
    let layers = 0..published.common.num_hidden_layers;
    outer(&published.common).chain(layers.flat_map(move |layer| {
        let (theirs, ours) = (format!("model.layers.{layer}"), format!("layers.{layer}"));
        let common = &published.common;
        let attention = grouped_query_attention(common, &theirs, &ours);
        attention
            .into_iter()
            .chain(norms(common, &theirs, &ours, "moe_norm"))
            .chain(mixture(published, &theirs, &ours))
    }))
}

fn mixture(
    published: &PublishedMixtral,
    theirs: &str,
    ours: &str,
) -> impl Iterator<Item = Entry> + use<> {
    let sizes = BankSizes {
        n_experts: published.num_local_experts,
        d_model: published.common.hidden_size,
        d_expert: published.common.intermediate_size,
    };
    let shape = [sizes.n_experts, sizes.d_model];
    let gate = Entry::linear(
        format!("{theirs}.block_sparse_moe.gate.weight"),
        shape,
        format!("{ours}.moe.router.gate.weight"),
    )
    .fused(format!("{theirs}.mlp.gate.weight"), &shape, 0);
    let experts = bank(
        sizes,
        &NAMES,
        format!("{theirs}.block_sparse_moe.experts"),
        format!("{theirs}.mlp.experts"),
        format!("{ours}.moe.experts"),
    );
    std::iter::once(gate).chain(experts)
}

/// The entries of grouped-query attention.
pub(super) fn grouped_query_attention(common: &Common, theirs: &str, ours: &str) -> [Entry; 4] {
    let d_model = common.hidden_size;
    let head_dim = common.resolved_head_dim();
    let query = common.num_attention_heads * head_dim;
    let key = common.num_key_value_heads * head_dim;
    let linear = |name: &str, shape, parameter: &str| {
        Entry::linear(
            format!("{theirs}.self_attn.{name}.weight"),
            shape,
            format!("{ours}.attention.{parameter}.weight"),
        )
    };
    [
        linear("q_proj", [query, d_model], "query"),
        linear("k_proj", [key, d_model], "key"),
        linear("v_proj", [key, d_model], "value"),
        linear("o_proj", [d_model, query], "output"),
    ]
}

/// The entries of the norms of queries and keys, of so many numbers.
pub(super) fn qk_norms(widths: [usize; 2], theirs: &str, ours: &str) -> [Entry; 2] {
    let norm = |name: &str, width, parameter: &str| {
        Entry::plain(
            format!("{theirs}.self_attn.{name}.weight"),
            &[width],
            format!("{ours}.attention.{parameter}.gamma"),
        )
    };
    [
        norm("q_norm", widths[0], "query_norm"),
        norm("k_norm", widths[1], "key_norm"),
    ]
}

/// The entries of a layer's norms, of which the second has another name in each family.
pub(super) fn norms(common: &Common, theirs: &str, ours: &str, second: &str) -> [Entry; 2] {
    let norm = |name: &str, parameter: &str| {
        Entry::plain(
            format!("{theirs}.{name}.weight"),
            &[common.hidden_size],
            format!("{ours}.{parameter}.gamma"),
        )
    };
    [
        norm("input_layernorm", "attention_norm"),
        norm("post_attention_layernorm", second),
    ]
}
