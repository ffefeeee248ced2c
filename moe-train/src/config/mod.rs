//! The configuration of a run: one TOML file, typed, with every default in sight.

mod build;
mod error;
mod hash;
mod tables;

pub use error::ConfigError;
pub use tables::{
    AttentionConfig, AttentionKind, ExpertsConfig, ModelConfig, ModelFamily, TrainConfig,
};

use crate::data::DataConfig;
use crate::resolve::{ConfigFile, Layers, ResolveError, Selection, resolve_with_notes, typed};
use moe_router::{BalanceConfig, RouterConfig};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The keys that choose the defaults of their table.
pub const SELECTORS: [&str; 3] = ["model.family", "attention.kind", "router.name"];

/// Everything that decides the numbers of a run, beside the device.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The seed of the initialisation, the data order and all noise. Default: 0
    pub seed: u64,
    /// The text and its vocabulary.
    pub data: DataConfig,
    /// The model's outer sizes.
    pub model: ModelConfig,
    /// The attention of each layer.
    pub attention: AttentionConfig,
    /// The experts of each layer.
    pub experts: ExpertsConfig,
    /// The router of each layer.
    pub router: RouterConfig,
    /// The weight of each balance loss. Default: what the router's source trains it with
    pub balance: BalanceConfig,
    /// The training.
    pub train: TrainConfig,
}

/// A configuration together with what resolving it had to say.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The configuration.
    pub config: RunConfig,
    /// Keys that were dropped because an override chose something else, in words.
    pub notes: Vec<String>,
}

impl RunConfig {
    /// Reads a file, applies `key=value` overrides, and checks the result.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do: a missing or broken file, a key that does not
    /// exist (with the nearest that does), a value of the wrong type, sizes that do not fit together.
    pub fn load<S: AsRef<str>>(path: &Path, overrides: &[S]) -> Result<Resolved, ConfigError> {
        let layers = Layers::read(path, overrides)?;
        let resolved = resolve_with_notes(&layers, &SELECTORS, &defaults)?;
        let config: RunConfig = typed(resolved.table)?;
        config.validate()?;
        let mut notes = resolved.notes;
        notes.extend(
            layers
                .file
                .as_ref()
                .and_then(|file| kept_losses(file, &config)),
        );
        Ok(Resolved { config, notes })
    }

    /// Reads back the resolved file of a run folder.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_resolved(path: &Path) -> Result<Self, ConfigError> {
        Ok(Self::load::<&str>(path, &[])?.config)
    }

    /// The defaults with a router of the given name.
    ///
    /// # Errors
    ///
    /// Returns the nearest name if there is none of this name.
    pub fn with_router(name: &str) -> Result<Self, ConfigError> {
        let selection = Selection::default().with("router.name", name);
        Ok(typed(defaults(&selection)?)?)
    }

    /// The configuration as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("tables of numbers, strings and booleans are TOML")
    }
}

/// A note if the file's balance losses were meant for another router than the one in use.
fn kept_losses(file: &ConfigFile, config: &RunConfig) -> Option<String> {
    let losses = file.table().get("balance")?.as_table()?;
    let router = file
        .table()
        .get("router")
        .and_then(|table| table.get("name"));
    let of_file = router.and_then(|name| name.as_str()).unwrap_or("mixtral");
    let now = config.router.name();
    (of_file != now && !losses.is_empty()).then(|| {
        format!(
            "{}: the file's [balance] stays in force with `router.name` = `{now}`; override its keys to change them",
            file.place("balance")
        )
    })
}

/// All keys with their defaults, for a choice of selectors.
fn defaults(selection: &Selection) -> Result<toml::Table, ResolveError> {
    let known = |selector: &str, only: &str| match selection.get(selector) {
        Some(name) if name != only => Err(selection.unknown(selector, &[only])),
        _ => Ok(()),
    };
    known("model.family", "mixtral")?;
    known("attention.kind", "gqa")?;
    let name = selection.get("router.name").unwrap_or("mixtral");
    let router = RouterConfig::from_name(name)
        .ok_or_else(|| selection.unknown("router.name", RouterConfig::NAMES))?;
    let config = RunConfig {
        seed: 0,
        data: DataConfig::default(),
        model: ModelConfig::default(),
        attention: AttentionConfig::default(),
        experts: ExpertsConfig::default(),
        balance: router.balance(),
        router,
        train: TrainConfig::default(),
    };
    Ok(toml::Table::try_from(config).expect("tables of numbers, strings and booleans are TOML"))
}
