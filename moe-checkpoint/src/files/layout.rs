//! Published tensors of a model: one list a family, in both directions.

use super::entry::Entry;
use super::{deepseek, llama, mixtral, olmoe, qwen3};
use crate::published::PublishedConfig;
use std::collections::BTreeMap;

/// A tensor that may be in the files and must then equal another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorCopy {
    /// The name of the copy.
    pub name: String,
    /// The name of what it equals.
    pub original: String,
}

/// The tensors of a published model.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    config: &'a PublishedConfig,
}

/// The entries of each of our parameters, stacked ones in the order of their rows.
pub type ByParameter = BTreeMap<String, Vec<Entry>>;

impl<'a> Layout<'a> {
    /// The list of a model's tensors.
    pub fn new(config: &'a PublishedConfig) -> Self {
        Self { config }
    }

    /// The entries, made one by one, so that a configuration of absurd sizes costs nothing before a
    /// tensor is missed.
    pub fn entries(&self) -> Box<dyn Iterator<Item = Entry> + 'a> {
        match self.config {
            PublishedConfig::Mixtral(published) => Box::new(mixtral::entries(published)),
            PublishedConfig::DeepSeek(published) => Box::new(deepseek::entries(published)),
            PublishedConfig::Olmoe(published) => Box::new(olmoe::entries(published)),
            PublishedConfig::Qwen3Moe(published) => Box::new(qwen3::entries(published)),
            PublishedConfig::Llama(published) => Box::new(llama::entries(published)),
        }
    }

    /// The tensors that may be there besides and are then checked.
    pub fn copies(&self) -> Vec<TensorCopy> {
        let tied = self.config.common().tie_word_embeddings;
        let head = tied.then(|| TensorCopy {
            name: HEAD.to_owned(),
            original: EMBEDDING.to_owned(),
        });
        let more = match self.config {
            PublishedConfig::DeepSeek(published) => deepseek::copies(published),
            _ => Vec::new(),
        };
        head.into_iter().chain(more).collect()
    }

    /// The entries by our parameters.
    pub fn by_parameter(&self) -> ByParameter {
        grouped(self.entries())
    }
}

/// Entries by our parameters.
pub(super) fn grouped(entries: impl Iterator<Item = Entry>) -> ByParameter {
    let mut groups = ByParameter::new();
    for entry in entries {
        groups
            .entry(entry.parameter.clone())
            .or_default()
            .push(entry);
    }
    groups
}

pub(super) const EMBEDDING: &str = "model.embed_tokens.weight";
pub(super) const HEAD: &str = "lm_head.weight";

/// The entries of embedding, final norm and, unless it is the embedding, head.
pub(super) fn outer(config: &crate::published::Common) -> impl Iterator<Item = Entry> + use<> {
    let (vocab_size, d_model) = (config.vocab_size, config.hidden_size);
    let embedding = Entry::plain(
        EMBEDDING.to_owned(),
        &[vocab_size, d_model],
        "embedding.weight".to_owned(),
    );
    let norm = Entry::plain(
        "model.norm.weight".to_owned(),
        &[d_model],
        "norm.gamma".to_owned(),
    );
    let head = (!config.tie_word_embeddings).then(|| {
        Entry::linear(
            HEAD.to_owned(),
            [vocab_size, d_model],
            "head.weight".to_owned(),
        )
    });
    [embedding, norm].into_iter().chain(head)
}

/// The names of the three matrices of an expert in a family: gate, up and down.
pub(super) struct ExpertNames {
    pub(super) gate: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
}

/// The sizes of a bank of experts.
#[derive(Clone, Copy)]
pub(super) struct BankSizes {
    pub(super) n_experts: usize,
    pub(super) d_model: usize,
    pub(super) d_expert: usize,
}

/// The entries of a bank of experts, published one by one under `published` or fused under `fused`.
pub(super) fn bank(
    sizes: BankSizes,
    names: &'static ExpertNames,
    published: String,
    fused: String,
    ours: String,
) -> impl Iterator<Item = Entry> {
    let BankSizes {
        n_experts,
        d_model: d,
        d_expert: f,
    } = sizes;
    (0..n_experts).flat_map(move |e| {
        let name = |matrix: &str| format!("{published}.{e}.{matrix}.weight");
        let gate_up = [n_experts, 2 * f, d];
        let gate_up_name = format!("{fused}.gate_up_proj");
        let start = e * 2 * f * d; // the rows of the gate come first
        [
            Entry::linear(name(names.gate), [f, d], format!("{ours}.gate"))
                .slot(e)
                .fused(gate_up_name.clone(), &gate_up, start),
            Entry::linear(name(names.up), [f, d], format!("{ours}.up"))
                .slot(e)
                .fused(gate_up_name, &gate_up, start + f * d),
            Entry::linear(name(names.down), [d, f], format!("{ours}.down"))
                .slot(e)
                .fused(format!("{fused}.down_proj"), &[n_experts, d, f], e * d * f),
        ]
    })
}
