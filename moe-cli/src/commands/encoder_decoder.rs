//! Output of `moe inspect` on a published encoder with a decoder, the Switch Transformer.

use super::parameters::{ACTIVE, ACTIVE_NO_EMBEDDING, EMBEDDING, FOOTNOTES, active};
use super::published::{Options, no_overrides, of_name_or_folder};
use crate::exit::{OrUsage, Status};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use moe_checkpoint::published::{KNOWN_SWITCH_MODELS, PublishedSwitch, model_type};
use moe_models::Account;
use moe_view::{bytes, pairs, si, thousands};
use serde::Serialize;
use std::path::Path;

/// The tokens of a text, and of a target, unless another length is asked for.
const LENGTH: usize = 512;

/// The output.
#[derive(Serialize, Debug)]
struct Inspection {
    model: String,
    model_type: &'static str,
    seq_length: usize,
    precision: &'static str,
    kv_bytes_per_token: f64,
    sparse_encoder_layers: Vec<usize>,
    sparse_decoder_layers: Vec<usize>,
    params_total: usize,
    params_active: usize,
    params_embedding: usize,
    params_active_no_embedding: usize,
    flops_per_token: u64,
    config: PublishedSwitch,
}

/// The configuration that a name or a folder stands for, if it stands for a published Switch model.
pub fn published_switch(given: &Path) -> anyhow::Result<Option<PublishedSwitch>> {
    of_name_or_folder(given, PublishedSwitch::known, |file| {
        if model_type(file).is_ok_and(|name| name == PublishedSwitch::MODEL_TYPE) {
            Ok(Some(PublishedSwitch::read(file).or_usage()?))
        } else {
            Ok(None)
        }
    })
}

/// Prints the size and cost of a published Switch model.
pub fn show(
    given: &Path,
    config: PublishedSwitch,
    overrides: &[String],
    options: Options,
    shared: &Shared,
) -> anyhow::Result<Status> {
    no_overrides(overrides)?;
    let seq_length = options.seq_length.unwrap_or(LENGTH);
    config.check_counts(seq_length, given).or_usage()?;
    shared.note_unread(&config.unread);
    let inspection = Inspection::new(given, config, options, seq_length);
    if shared.json {
        print_json(&inspection)?;
    } else {
        print(&inspection.table())?;
        let mut others = KNOWN_SWITCH_MODELS.iter();
        let other = others.find(|name| given != Path::new(name));
        shared.next(&format!("inspect {}", other.copied().unwrap_or_default()));
    }
    Ok(Status::Done)
}

impl Inspection {
    fn new(given: &Path, config: PublishedSwitch, options: Options, seq_length: usize) -> Self {
        let Account {
            params_total,
            params_active,
            params_embedding,
            params_active_no_embedding,
            flops_per_token,
            kv_bytes_per_token,
            ..
        } = config.account(seq_length);
        let model = config.model();
        let cached = kv_bytes_per_token / size_of::<f32>();
        Self {
            model: given.display().to_string(),
            model_type: PublishedSwitch::MODEL_TYPE,
            seq_length,
            precision: options.precision.name(),
            kv_bytes_per_token: options.precision.bytes(cached),
            sparse_encoder_layers: model.encoder.sparse_layers(),
            sparse_decoder_layers: model.decoder.sparse_layers(),
            params_total,
            params_active,
            params_embedding,
            params_active_no_embedding,
            flops_per_token,
            config,
        }
    }

    fn table(&self) -> String {
        let count = |n: usize| thousands(n as u64);
        let config = &self.config;
        let experts = format!(
            "{}, each takes {} tokens of a sequence",
            count(config.num_experts),
            count(config.expert_capacity)
        );
        let flops = format!(
            "{}, the mean of {} read and as many written",
            si(self.flops_per_token as f64),
            count(self.seq_length)
        );
        let cached = bytes(self.kv_bytes_per_token.round() as u64);
        let encoder = layers(&self.sparse_encoder_layers, config.num_layers);
        let decoder = layers(&self.sparse_decoder_layers, config.num_decoder_layers);
        let table = pairs(&[
            ("model", format!("{} ({})", self.model, self.model_type)),
            ("parameters", count(self.params_total)),
            (ACTIVE, active(self.params_active, self.params_total)),
            (ACTIVE_NO_EMBEDDING, count(self.params_active_no_embedding)),
            (EMBEDDING, count(self.params_embedding)),
            ("layers of the encoder", encoder),
            ("layers of the decoder", decoder),
            ("experts", experts),
            ("FLOP a token", flops),
            (
                "KV cache a token written",
                format!("{cached} in {}", self.precision),
            ),
            ("weights in f32", bytes(4 * self.params_total as u64)),
            ("weights in bf16", bytes(2 * self.params_total as u64)),
        ]);
        format!("{table}\n\n{FOOTNOTES}")
    }
}

fn layers(sparse: &[usize], of: usize) -> String {
    let sparse: Vec<String> = sparse.iter().map(ToString::to_string).collect();
    let sparse = if sparse.is_empty() {
        "none".to_owned()
    } else {
        sparse.join(", ")
    };
    format!("{of}, with experts: {sparse}")
}
