//! Output of `moe inspect` on a published vision model.

use super::parameters::{ACTIVE, FOOTNOTES, active};
use super::published::{no_overrides, sizes_file};
use crate::exit::{OrUsage, Status};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use moe_checkpoint::published::{PublishedVmoe, model_type};
use moe_models::Account;
use moe_view::{bytes, pairs, si, thousands};
use serde::Serialize;
use std::path::Path;

/// The output.
#[derive(Serialize, Debug)]
struct Inspection {
    model: String,
    model_type: &'static str,
    tokens_per_image: usize,
    group_size: usize,
    router: &'static str,
    moe_layers: Vec<usize>,
    #[serde(flatten)]
    account: Account,
    flops_per_image: u64,
    config: PublishedVmoe,
}

/// Tells whether a path is the folder of a published vision model.
pub fn is_vision(given: &Path) -> bool {
    let file = sizes_file(given);
    file.is_file() && model_type(&file).is_ok_and(|name| name == PublishedVmoe::MODEL)
}

/// Prints the size and cost of a published vision model.
pub fn show(given: &Path, overrides: &[String], shared: &Shared) -> anyhow::Result<Status> {
    no_overrides(overrides)?;
    let config = PublishedVmoe::read(&sizes_file(given)).or_usage()?;
    shared.note_unread(&config.unread);
    let inspection = Inspection::new(given, config);
    if shared.json {
        print_json(&inspection)?;
    } else {
        print(&inspection.table())?;
        shared.next(&format!("verify {}", crate::runs::shown(given)));
    }
    Ok(Status::Done)
}

impl Inspection {
    fn new(given: &Path, config: PublishedVmoe) -> Self {
        let (model, router) = (config.model(), config.router());
        let account = model.account(&router, 1);
        let tokens_per_image = model.n_tokens();
        Self {
            model: given.display().to_string(),
            model_type: PublishedVmoe::MODEL,
            tokens_per_image,
            group_size: model.group_size(),
            router: router.name(),
            flops_per_image: account.flops_per_token * tokens_per_image as u64,
            moe_layers: model.moe_layers,
            account,
            config,
        }
    }

    fn table(&self) -> String {
        let a = &self.account;
        let count = |n: usize| thousands(n as u64);
        let layers: Vec<String> = self.moe_layers.iter().map(ToString::to_string).collect();
        let mixtures = if self.moe_layers.is_empty() {
            "none".to_owned()
        } else {
            format!("blocks {}, router {}", layers.join(", "), self.router)
        };
        let table = pairs(&[
            ("model", format!("{} ({})", self.model, self.model_type)),
            ("parameters", count(a.params_total)),
            (ACTIVE, active(a.params_active, a.params_total)),
            ("  patches and head", count(a.params_embedding)),
            ("mixtures of experts", mixtures),
            ("tokens an image", count(self.tokens_per_image)),
            ("tokens routed together", count(self.group_size)),
            ("FLOP an image", si(self.flops_per_image as f64)),
            ("weights in f32", bytes(4 * a.params_total as u64)),
            ("weights in bf16", bytes(2 * a.params_total as u64)),
        ]);
        format!("{table}\n\n{FOOTNOTES}")
    }
}
