//! The tensors of the DeepSeek families.

use super::entry::Entry;
use super::layout::{BankSizes, EMBEDDING, ExpertNames, HEAD, TensorCopy, bank, outer};
use super::mixtral::{grouped_query_attention, norms};
use crate::published::{DeepSeekGeneration, PublishedDeepSeek, PublishedLatent};

/// The names of all families but Mixtral.
pub(super) static NAMES: ExpertNames = ExpertNames {
    gate: "gate_proj",
    up: "up_proj",
    down: "down_proj",
};

/// The entries of a model: its layers, then those that predict further tokens, which are numbered on.
pub(super) fn entries(published: &PublishedDeepSeek) -> impl Iterator<Item = Entry> {
    let n_layers = published.common.num_hidden_layers;
    let layers =
        (0..n_layers).flat_map(move |layer| block(published, layer, format!("layers.{layer}")));
    let further = (0..published.num_nextn_predict_layers).flat_map(move |depth| {
        let ours = format!("mtp.{depth}");
        further(published, n_layers + depth, &ours)
            .into_iter()
            .chain(block(published, n_layers + depth, format!("{ours}.block")))
    });
    outer(&published.common).chain(layers).chain(further)
}

/// The second copies of embedding and head in the modules that predict further tokens.
pub(super) fn copies(published: &PublishedDeepSeek) -> Vec<TensorCopy> {
    let n_layers = published.common.num_hidden_layers;
    let head = if published.common.tie_word_embeddings {
        EMBEDDING
    } else {
        HEAD
    };
    let names = [("embed_tokens", EMBEDDING), ("shared_head.head", head)];
    (n_layers..n_layers + published.num_nextn_predict_layers)
        .flat_map(|layer| {
            names.map(|(name, original)| TensorCopy {
                name: format!("model.layers.{layer}.{name}.weight"),
                original: original.to_owned(),
            })
        })
        .collect()
}

/// Tensors of a module that predicts further tokens, beside those of its layer.
fn further(published: &PublishedDeepSeek, layer: usize, ours: &str) -> [Entry; 4] {
    let d_model = published.common.hidden_size;
    let theirs = format!("model.layers.{layer}");
    let norm = |name: &str, parameter: &str| {
        Entry::plain(
            format!("{theirs}.{name}.weight"),
            &[d_model],
            format!("{ours}.{parameter}.gamma"),
        )
    };
    [
        norm("enorm", "embedding_norm"),
        norm("hnorm", "hidden_norm"),
        Entry::linear(
            format!("{theirs}.eh_proj.weight"),
            [d_model, 2 * d_model],
            format!("{ours}.projection.weight"),
        ),
        norm("shared_head.norm", "norm"),
    ]
}

fn block(
    published: &PublishedDeepSeek,
    layer: usize,
    ours: String,
) -> Box<dyn Iterator<Item = Entry> + '_> {
    let common = &published.common;
    let theirs = format!("model.layers.{layer}");
    let attention = match published.latent {
        None => grouped_query_attention(common, &theirs, &ours).to_vec(),
        Some(latent) => latent_attention(published, &latent, &theirs, &ours),
    };
    let norms = norms(common, &theirs, &ours, "feed_forward_norm");
    let (theirs, ours) = (format!("{theirs}.mlp"), format!("{ours}.feed_forward"));
    let before = attention.into_iter().chain(norms);
    if published.is_mixture(layer) {
        Box::new(before.chain(mixture(published, theirs, ours)))
    } else {
        let width = common.intermediate_size;
        Box::new(before.chain(feed_forward(common.hidden_size, width, &theirs, &ours)))
    }
}

fn latent_attention(
    published: &PublishedDeepSeek,
    latent: &PublishedLatent,
    theirs: &str,
    ours: &str,
) -> Vec<Entry> {
    let (d_model, n_heads) = (
        published.common.hidden_size,
        published.common.num_attention_heads,
    );
    let rank = latent.kv_lora_rank;
    let query = n_heads * (latent.qk_nope_head_dim + latent.qk_rope_head_dim);
    let linear = |name: &str, shape, parameter: &str| {
        Entry::linear(
            format!("{theirs}.self_attn.{name}.weight"),
            shape,
            format!("{ours}.attention.{parameter}.weight"),
        )
    };
    let norm = |name: &str, width| {
        Entry::plain(
            format!("{theirs}.self_attn.{name}.weight"),
            &[width],
            format!("{ours}.attention.{name}.gamma"),
        )
    };
    let queries = match latent.q_lora_rank {
        None => vec![linear("q_proj", [query, d_model], "q_b_proj")],
        Some(rank) => vec![
            linear("q_a_proj", [rank, d_model], "q_a_proj"),
            norm("q_a_layernorm", rank),
            linear("q_b_proj", [query, rank], "q_b_proj"),
        ],
    };
    let compressed = [rank + latent.qk_rope_head_dim, d_model];
    let expanded = [
        n_heads * (latent.qk_nope_head_dim + latent.v_head_dim),
        rank,
    ];
    let rest = [
        linear("kv_a_proj_with_mqa", compressed, "kv_a_proj_with_mqa"),
        norm("kv_a_layernorm", rank),
        linear("kv_b_proj", expanded, "kv_b_proj"),
        linear("o_proj", [d_model, n_heads * latent.v_head_dim], "o_proj"),
    ];
    queries.into_iter().chain(rest).collect()
}

fn mixture(
    published: &PublishedDeepSeek,
    theirs: String,
    ours: String,
) -> impl Iterator<Item = Entry> + use<> {
    let sizes = BankSizes {
        n_experts: published.n_routed_experts,
        d_model: published.common.hidden_size,
        d_expert: published.moe_intermediate_size,
    };
    let bias = (published.generation == DeepSeekGeneration::V3).then(|| {
        Entry::plain(
            format!("{theirs}.gate.e_score_correction_bias"),
            &[sizes.n_experts],
            format!("{ours}.router.bias"),
        )
    });
    let width = published.n_shared_experts * published.moe_intermediate_size;
    let shared = (width > 0).then(|| {
        let (theirs, ours) = (format!("{theirs}.shared_experts"), format!("{ours}.shared"));
        feed_forward(sizes.d_model, width, &theirs, &ours)
    });
    let mut routed = routed(sizes, &theirs, &ours);
    let gate = routed.next().into_iter().chain(bias);
    gate.chain(shared.into_iter().flatten()).chain(routed)
}

/// The gate of a mixture, and then its experts.
pub(super) fn routed(
    sizes: BankSizes,
    theirs: &str,
    ours: &str,
) -> impl Iterator<Item = Entry> + use<> {
    let gate = Entry::linear(
        format!("{theirs}.gate.weight"),
        [sizes.n_experts, sizes.d_model],
        format!("{ours}.router.gate.weight"),
    );
    let (theirs, ours) = (format!("{theirs}.experts"), format!("{ours}.experts"));
    std::iter::once(gate).chain(bank(sizes, &NAMES, theirs.clone(), theirs, ours))
}

/// One feed-forward, here a bank of a single expert.
pub(super) fn feed_forward(d_model: usize, width: usize, theirs: &str, ours: &str) -> [Entry; 3] {
    let linear = |name: &str, shape, parameter: &str| {
        Entry::linear(
            format!("{theirs}.{name}.weight"),
            shape,
            format!("{ours}.{parameter}"),
        )
        .slot(0)
    };
    [
        linear(NAMES.gate, [width, d_model], "gate"),
        linear(NAMES.up, [width, d_model], "up"),
        linear(NAMES.down, [d_model, width], "down"),
    ]
}
