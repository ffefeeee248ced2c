//! The tensors of V-MoE and Soft-MoE: the tree of their flax modules, names joined by `/`.

use super::entry::Entry;
use super::layout::TensorCopy;
use super::model_folder::PublishedFamily;
use crate::published::{PublishedError, PublishedVmoe, PublishedVmoeExperts, PublishedVmoeRouter};
use burn::tensor::Device;
use moe_models::Vmoe;
use moe_models::vmoe::{PatchPositions, Pooling};
use std::path::Path;

impl PublishedFamily for PublishedVmoe {
    type Model = Vmoe;

    fn read(path: &Path) -> Result<Self, PublishedError> {
        Self::read(path)
    }

    fn empty(&self, device: &Device) -> Vmoe {
        let router = self.router();
        let model = self.model();
        model.init(|shape| router.init(shape, device), device)
    }

    /// Made block by block.
    fn entries(&self) -> impl Iterator<Item = Entry> {
        let tree = Tree { config: self };
        let blocks = (0..self.num_layers).flat_map(move |i| tree.block(i));
        tree.outer().into_iter().chain(blocks)
    }

    fn copies(&self) -> Vec<TensorCopy> {
        Vec::new()
    }
}

/// The tensors of a model. Kernels are `[in, out]` in both layouts; what differs is how axes are folded.
#[derive(Clone, Copy)]
struct Tree<'a> {
    config: &'a PublishedVmoe,
}

impl Tree<'_> {
    /// Entries outside of the blocks.
    fn outer(&self) -> Vec<Entry> {
        let config = self.config;
        let (d, [ph, pw], c) = (config.hidden_size, config.patch_size, config.num_channels);
        let n_tokens = config.model().n_tokens();
        let mut entries = vec![
            plain(
                "embedding/kernel",
                &[ph, pw, c, d],
                "patch_embedding.weight",
            )
            .reshaped(&[ph * pw * c, d]),
            plain("embedding/bias", &[d], "patch_embedding.bias"),
        ];
        if config.classifier == Pooling::ClassToken {
            entries.push(plain("cls", &[1, 1, d], "class_token"));
        }
        if config.positions == PatchPositions::Learned {
            let name = "Encoder/posembed_input/pos_embedding";
            entries.push(plain(name, &[1, n_tokens, d], "positions"));
        }
        entries.extend(norm("Encoder/encoder_norm", d, "norm"));
        if config.classifier == Pooling::Attention {
            entries.push(plain("MapHead/probe", &[1, 1, d], "pooling.probe"));
            let attention = "MapHead/MultiHeadDotProductAttention";
            entries.extend(self.attention(attention, "pooling.attention"));
            entries.extend(norm("MapHead/LayerNorm", d, "pooling.norm"));
            entries.extend(self.dense("MapHead/Mlp", "pooling.feed_forward"));
        }
        if let Some(width) = config.representation_size {
            entries.extend(linear("pre_logits", [d, width], "pre_logits"));
        }
        let d_head = config.representation_size.unwrap_or(d);
        entries.extend(linear("head", [d_head, config.num_classes], "head"));
        entries
    }

    fn block(&self, i: usize) -> Vec<Entry> {
        let (theirs, ours) = (format!("Encoder/encoderblock_{i}"), format!("blocks.{i}"));
        let d = self.config.hidden_size;
        let mut entries = Vec::new();
        let name = |what: &str| format!("{theirs}/{what}");
        let parameter = |what: &str| format!("{ours}.{what}");
        entries.extend(norm(&name("LayerNorm_0"), d, &parameter("attention_norm")));
        entries.extend(self.attention(&name("SelfAttention"), &parameter("attention")));
        entries.extend(norm(
            &name("LayerNorm_1"),
            d,
            &parameter("feed_forward_norm"),
        ));
        let feed_forward = parameter("feed_forward");
        match &self.config.moe {
            Some(moe) if moe.layers.contains(&i) => {
                entries.extend(self.router(moe, &name("Moe/Router"), &feed_forward));
                entries.extend(self.experts(moe, &name("Moe/Mlp"), &feed_forward));
            }
            _ => entries.extend(self.dense(&name("Mlp"), &feed_forward)),
        }
        entries
    }

    fn attention(&self, theirs: &str, ours: &str) -> Vec<Entry> {
        let (d, n_heads) = (self.config.hidden_size, self.config.num_heads);
        let head_dim = d / n_heads;
        let mut entries = Vec::new();
        for name in ["query", "key", "value"] {
            let (theirs, ours) = (format!("{theirs}/{name}"), format!("{ours}.{name}"));
            let kernel = [d, n_heads, head_dim];
            entries.extend([
                plain(
                    format!("{theirs}/kernel"),
                    &kernel,
                    format!("{ours}.weight"),
                )
                .reshaped(&[d, d]),
                plain(
                    format!("{theirs}/bias"),
                    &kernel[1..],
                    format!("{ours}.bias"),
                )
                .reshaped(&[d]),
            ]);
        }
        let (out, output) = (format!("{theirs}/out"), format!("{ours}.output"));
        entries.extend([
            plain(
                format!("{out}/kernel"),
                &[n_heads, head_dim, d],
                format!("{output}.weight"),
            )
            .reshaped(&[d, d]),
            plain(format!("{out}/bias"), &[d], format!("{output}.bias")),
        ]);
        if self.config.attention_qk_norm {
            let norm = |name: &str| {
                let (theirs, ours) = (
                    format!("{theirs}/{name}_ln/scale"),
                    format!("{ours}.{name}_norm"),
                );
                plain(theirs, &[head_dim], format!("{ours}.gamma"))
            };
            entries.extend([norm("query"), norm("key")]);
        }
        entries
    }

    /// A dense feed-forward, here a bank of one expert.
    fn dense(&self, theirs: &str, ours: &str) -> Vec<Entry> {
        let (d, f) = (self.config.hidden_size, self.config.mlp_dim);
        bank(theirs, &[], [d, f], 1, ours)
    }

    fn experts(&self, moe: &PublishedVmoeExperts, theirs: &str, ours: &str) -> Vec<Entry> {
        let sizes = [self.config.hidden_size, moe.mlp_dim];
        let ours = format!("{ours}.experts");
        bank(theirs, &[moe.num_experts], sizes, moe.num_experts, &ours)
    }

    fn router(&self, moe: &PublishedVmoeExperts, theirs: &str, ours: &str) -> Vec<Entry> {
        let (d, e) = (self.config.hidden_size, moe.num_experts);
        match moe.router {
            PublishedVmoeRouter::SoftRouter { num_slots: p, .. } => vec![
                plain(
                    format!("{theirs}/mu"),
                    &[d, e, p],
                    format!("{ours}.router.phi"),
                )
                .reshaped(&[d, e * p]),
                plain(
                    format!("{theirs}/scale"),
                    &[],
                    format!("{ours}.router.scale"),
                )
                .reshaped(&[1]),
            ],
            _ => vec![plain(
                format!("{theirs}/dense/kernel"),
                &[d, e],
                format!("{ours}.router.gate.weight"),
            )],
        }
    }
}

fn plain(name: impl Into<String>, shape: &[usize], parameter: impl Into<String>) -> Entry {
    Entry::plain(name.into(), shape, parameter.into())
}

fn norm(theirs: &str, width: usize, ours: &str) -> [Entry; 2] {
    [
        plain(format!("{theirs}/scale"), &[width], format!("{ours}.gamma")),
        plain(format!("{theirs}/bias"), &[width], format!("{ours}.beta")),
    ]
}

fn linear(theirs: &str, shape: [usize; 2], ours: &str) -> [Entry; 2] {
    [
        plain(format!("{theirs}/kernel"), &shape, format!("{ours}.weight")),
        plain(
            format!("{theirs}/bias"),
            &shape[1..],
            format!("{ours}.bias"),
        ),
    ]
}

/// Two layers with biases, published with the axes `stack` before their own, as a bank of `n_experts`.
fn bank(
    theirs: &str,
    stack: &[usize],
    [d, f]: [usize; 2],
    n_experts: usize,
    ours: &str,
) -> Vec<Entry> {
    let entry = |what: &str, shape: &[usize], parameter: &str| {
        let published = [stack, shape].concat();
        plain(
            format!("{theirs}/{what}"),
            &published,
            format!("{ours}.{parameter}"),
        )
        .reshaped(&[&[n_experts], shape].concat())
    };
    vec![
        entry("Dense_0/kernel", &[d, f], "up"),
        entry("Dense_0/bias", &[f], "biases.up"),
        entry("Dense_1/kernel", &[f, d], "down"),
        entry("Dense_1/bias", &[d], "biases.down"),
    ]
}
