//! The tensors of the Switch Transformer.

use super::entry::Entry;
use super::layout::TensorCopy;
use super::model_folder::PublishedFamily;
use crate::published::{PublishedError, PublishedSwitch};
use burn::tensor::Device;
use moe_experts::Activation;
use moe_models::switch::{Switch, SwitchStackConfig};
use std::path::Path;

const SHARED: &str = "shared.weight";
const TABLES: [&str; 2] = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
const HEAD: &str = "lm_head.weight";

impl PublishedFamily for PublishedSwitch {
    type Model = Switch;

    fn read(path: &Path) -> Result<Self, PublishedError> {
        Self::read(path)
    }

    fn empty(&self, device: &Device) -> Switch {
        let router = self.router();
        let model = self.model();
        model.init(|shape| router.init(shape, device), device)
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        let model = self.model();
        tables(self)
            .chain(stack(self, "encoder", model.encoder))
            .chain(stack(self, "decoder", model.decoder))
    }

    /// The tables that are the shared one, if all are.
    fn copies(&self) -> Vec<TensorCopy> {
        let copy = |name: &str| TensorCopy {
            name: name.to_owned(),
            original: SHARED.to_owned(),
        };
        if self.tie_word_embeddings {
            [TABLES[0], TABLES[1], HEAD].map(copy).to_vec()
        } else {
            Vec::new()
        }
    }
}

/// The tables and the head: one table, or one for each and one beside them that nothing reads.
fn tables(published: &PublishedSwitch) -> impl Iterator<Item = Entry> + use<> {
    let shape = [published.vocab_size, published.d_model];
    let table = |name: &str, parameter: &str| {
        Entry::plain(name.to_owned(), &shape, format!("{parameter}.weight"))
    };
    let tables = if published.tie_word_embeddings {
        vec![table(SHARED, "embedding")]
    } else {
        vec![
            table(SHARED, "unused_embedding"),
            table(TABLES[0], "embedding"),
            table(TABLES[1], "decoder_embedding"),
            Entry::linear(HEAD.to_owned(), shape, "head.weight".to_owned()),
        ]
    };
    tables.into_iter()
}

fn stack<'a>(
    published: &'a PublishedSwitch,
    side: &'static str,
    stack: SwitchStackConfig,
) -> impl Iterator<Item = Entry> + use<'a> {
    let bias = Entry::plain(
        format!("{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
        &[
            published.relative_attention_num_buckets,
            published.num_heads,
        ],
        format!("{side}.position_bias.table.weight"),
    );
    let norm = norm(
        published,
        format!("{side}.final_layer_norm.weight"),
        format!("{side}.norm"),
    );
    let blocks = (0..stack.n_layers)
        .flat_map(move |layer| block(published, side, layer, stack.is_sparse(layer)));
    [bias, norm].into_iter().chain(blocks)
}

fn block<'a>(
    published: &'a PublishedSwitch,
    side: &'static str,
    layer: usize,
    is_sparse: bool,
) -> impl Iterator<Item = Entry> + use<'a> {
    let theirs = |part: usize| format!("{side}.block.{layer}.layer.{part}");
    let ours = format!("{side}.layers.{layer}");
    let part = |i: usize, name: &str, norm_name: &str, attention_name: &str| {
        let (theirs, ours) = (theirs(i), &ours);
        let theirs_norm = format!("{theirs}.layer_norm.weight");
        let [q, k, v, o] = attention(
            published,
            &format!("{theirs}.{name}"),
            &format!("{ours}.{attention_name}"),
        );
        [
            norm(published, theirs_norm, format!("{ours}.{norm_name}")),
            q,
            k,
            v,
            o,
        ]
    };
    let own = part(0, "SelfAttention", "attention_norm", "attention");
    let cross =
        (side == "decoder").then(|| part(1, "EncDecAttention", "cross.norm", "cross.attention"));
    let last = theirs(if cross.is_some() { 2 } else { 1 });
    let norm = norm(
        published,
        format!("{last}.layer_norm.weight"),
        format!("{ours}.feed_forward_norm"),
    );
    let (theirs, ours) = (format!("{last}.mlp"), format!("{ours}.feed_forward"));
    let feed_forward: Box<dyn Iterator<Item = Entry> + 'a> = if is_sparse {
        Box::new(mixture(published, theirs, ours))
    } else {
        Box::new(expert(published, theirs, &ours, 0))
    };
    own.into_iter()
        .chain(cross.into_iter().flatten())
        .chain([norm])
        .chain(feed_forward)
}

fn norm(published: &PublishedSwitch, theirs: String, ours: String) -> Entry {
    Entry::plain(theirs, &[published.d_model], format!("{ours}.gamma"))
}

fn attention(published: &PublishedSwitch, theirs: &str, ours: &str) -> [Entry; 4] {
    let (d_model, inner) = (published.d_model, published.num_heads * published.d_kv);
    let linear = |name: &str, shape, parameter: &str| {
        Entry::linear(
            format!("{theirs}.{name}.weight"),
            shape,
            format!("{ours}.{parameter}.weight"),
        )
    };
    [
        linear("q", [inner, d_model], "query"),
        linear("k", [inner, d_model], "key"),
        linear("v", [inner, d_model], "value"),
        linear("o", [d_model, inner], "output"),
    ]
}

fn mixture<'a>(
    published: &'a PublishedSwitch,
    theirs: String,
    ours: String,
) -> impl Iterator<Item = Entry> + use<'a> {
    let classifier = format!("{theirs}.router.classifier");
    let weight = Entry::linear(
        format!("{classifier}.weight"),
        [published.num_experts, published.d_model],
        format!("{ours}.router.gate.weight"),
    );
    let bias = published.router_bias.then(|| {
        Entry::plain(
            format!("{classifier}.bias"),
            &[published.num_experts],
            format!("{ours}.router.gate.bias"),
        )
    });
    let experts = (0..published.num_experts).flat_map(move |e| {
        let theirs = format!("{theirs}.experts.expert_{e}");
        expert(published, theirs, &format!("{ours}.experts"), e)
    });
    std::iter::once(weight).chain(bias).chain(experts)
}

/// The matrices of one expert of a bank: `wi` and `wo`, or `wi_0`, `wi_1` and `wo` if the activation is
/// gated.
fn expert(
    published: &PublishedSwitch,
    theirs: String,
    ours: &str,
    slot: usize,
) -> impl Iterator<Item = Entry> + use<> {
    let (d, f) = (published.d_model, published.d_ff);
    let linear = |name: &str, shape, parameter: &str| {
        let name = format!("{theirs}.{name}.weight");
        Entry::linear(name, shape, format!("{ours}.{parameter}")).slot(slot)
    };
    let down = linear("wo", [d, f], "down");
    let entries = match published.activation {
        Activation::SwiGlu => vec![
            linear("wi_0", [f, d], "gate"),
            linear("wi_1", [f, d], "up"),
            down,
        ],
        _ => vec![linear("wi", [f, d], "up"), down],
    };
    entries.into_iter()
}
