//! The configuration of a run: one TOML file, typed, with every default in sight.

mod attention;
mod bounds;
mod build;
mod deepseek;
mod error;
mod evaluation;
mod families;
mod hash;
mod keys;
mod llama;
mod mixtral;
mod model;
mod qwen3;
mod replayed;
mod switch;
mod tables;
mod validate;
mod values;
mod vision;

pub use attention::{
    AttentionConfig, GqaConfig, MhaConfig, MlaConfig, MlaForm, QkNormKind, T5Config,
};
pub use bounds::LARGEST_SEED;
pub use deepseek::DeepSeekModel;
pub use error::ConfigError;
pub use families::{FamilyInfo, ModelConfig};
pub use llama::LlamaModel;
pub use mixtral::MixtralModel;
pub use qwen3::Qwen3MoeModel;
pub use switch::SwitchModel;
pub use tables::{ExpertsConfig, Keep, TrainConfig};
pub use vision::{PositionKind, VisionModel};

use crate::data::DataConfig;
use crate::resolve::{
    ConfigFile, Implied, Layers, Override, ResolveError, Selection, resolve, resolve_with_notes,
    typed,
};
use moe_router::{BalanceConfig, RouterConfig};
use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::Value;

/// The keys that choose the defaults of their table.
pub const SELECTORS: [&str; 3] = ["model.family", "attention.kind", "router.name"];

/// A router that is described by its parts needs no name.
const COMPOSED: Implied<'static> = Implied {
    selector: "router.name",
    choice: "composed",
    by: &["score", "select"],
};

/// Everything that decides the numbers of a run, beside the device.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The seed of the initialisation, the data order and all noise. Default: 0
    pub seed: u64,
    /// Data that is learned from.
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
        Self::resolve(ConfigFile::read(path)?, overrides)
    }

    /// As [`load`](Self::load), of a file that was read before.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn resolve<S: AsRef<str>>(
        file: ConfigFile,
        overrides: &[S],
    ) -> Result<Resolved, ConfigError> {
        if file.table().get("claim").is_some_and(Value::is_table) {
            let path = file.path().to_owned();
            return Err(ResolveError::Claim { path }.into());
        }
        let layers = Layers::over(file, overrides)?;
        let layers = layers.imply(&COMPOSED);
        let resolved = resolve_with_notes(&layers, &SELECTORS, &defaults)?;
        let config = checked(resolved.table)?;
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

    /// The defaults under `key=value` overrides, checked.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn of_overrides<S: AsRef<str>>(overrides: &[S]) -> Result<Self, ConfigError> {
        let overrides = overrides.iter().map(|text| Override::parse(text.as_ref()));
        let layers = Layers {
            file: None,
            overrides: overrides.collect::<Result<_, _>>()?,
        };
        let layers = layers.imply(&COMPOSED);
        checked(resolve(&layers, &SELECTORS, &defaults)?)
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

/// The configuration that a table with all keys describes.
fn checked(table: toml::Table) -> Result<RunConfig, ConfigError> {
    let word = |table_name: &str, key: &str| table[table_name][key].as_str().unwrap_or_default();
    let (family, data) = (word("model", "family"), word("data", "name"));
    let names = ModelConfig::from_name(family).map_or(&[][..], |model| model.task().data_names());
    if !names.contains(&data) {
        return Err(ConfigError::OtherData {
            family: family.to_owned(),
            data: data.to_owned(),
            names: names.join(", "),
        });
    }
    if let Some((key, value)) = negative("", &table) {
        return Err(ConfigError::Negative {
            least: least(table, &key),
            key,
            value,
        });
    }
    let mut config: RunConfig = typed(table)?;
    if let DataConfig::Images(images) = &mut config.data {
        images.n_classes = images.counted_classes()?;
    }
    config.read_trace()?;
    config.validate()?;
    Ok(config)
}

/// The first negative integer, none of which a configuration has.
fn negative(prefix: &str, table: &toml::Table) -> Option<(String, i64)> {
    table.iter().find_map(|(name, value)| {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            Value::Integer(value) if *value < 0 => Some((key, *value)),
            Value::Table(table) => negative(&key, table),
            Value::Array(values) => {
                let integers = values.iter().filter_map(Value::as_integer);
                let value = integers.into_iter().find(|value| *value < 0)?;
                Some((key, value))
            }
            _ => None,
        }
    })
}

/// The smallest value of a key with which its table is accepted: 0, or 1.
fn least(mut table: toml::Table, key: &str) -> i64 {
    let mut names = key.split('.');
    let last = names.next_back().unwrap_or_default();
    let inner = names.try_fold(&mut table, |table, name| {
        table.get_mut(name).and_then(Value::as_table_mut)
    });
    if let Some(value) = inner.and_then(|table| table.get_mut(last)) {
        *value = match value {
            Value::Array(_) => Value::Array(vec![Value::Integer(0)]),
            _ => Value::Integer(0),
        };
    }
    i64::from(checked(table).is_err())
}

/// A note if the file's balance losses were meant for another router than the one in use.
fn kept_losses(file: &ConfigFile, config: &RunConfig) -> Option<String> {
    let losses = file.table().get("balance")?.as_table()?;
    let router = file
        .table()
        .get("router")
        .and_then(|table| table.get("name"));
    let family = file
        .table()
        .get("model")
        .and_then(|table| table.get("family"));
    let family = family.and_then(|name| name.as_str()).unwrap_or("mixtral");
    let published = ModelConfig::from_name(family)?.info().router;
    let of_file = router.and_then(|name| name.as_str()).unwrap_or(published);
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
    let family = selection.get("model.family").unwrap_or("mixtral");
    let model = ModelConfig::from_name(family)
        .ok_or_else(|| selection.unknown("model.family", ModelConfig::NAMES))?;
    let info = model.info();
    let kind = selection.get("attention.kind");
    let attention = AttentionConfig::from_name(kind.unwrap_or(info.attention[0]), &model)
        .ok_or_else(|| selection.unknown("attention.kind", info.attention))?;
    let name = selection.get("router.name");
    let router = RouterConfig::from_name(name.unwrap_or(info.router))
        .ok_or_else(|| selection.unknown("router.name", &RouterConfig::names()))?;
    let task = info.task;
    let config = RunConfig {
        seed: 0,
        data: task.data(),
        experts: model.keys().experts(),
        model,
        attention,
        balance: router.balance(),
        router,
        train: TrainConfig::of_task(task),
    };
    Ok(config.table())
}
