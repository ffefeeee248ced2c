//! The configuration of a router of another crate.

use super::OutsideRouter;
use super::registry::Entry;
use crate::keys::{RouterKey, keys};
use crate::{BalanceConfig, Extra, Preset, RouterError, RouterInfo, RouterShape};
use burn::tensor::Device;
use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::fmt;

/// The configuration of a router of another crate: its name and its values.
pub struct OutsideConfig {
    entry: Entry,
    preset: Box<dyn DynPreset>,
}

/// A [`Preset`] whose type is not known.
pub(super) trait DynPreset: Send + Sync {
    fn copy(&self) -> Box<dyn DynPreset>;
    /// The values as a table, or why they are none.
    fn values(&self) -> Result<Map<String, Value>, String>;
    fn info(&self) -> RouterInfo;
    fn validate(&self, n_experts: usize) -> Result<(), RouterError>;
    fn extras(&self) -> Vec<Extra>;
    fn balance(&self) -> BalanceConfig;
    fn capacity_factor(&self) -> Option<f64>;
    fn with_capacity_factor(&self, factor: f64) -> Box<dyn DynPreset>;
    fn experts_per_token(&self, n_experts: usize) -> f64;
    fn rows_per_token(&self, n_experts: usize, seq_length: usize) -> f64;
    fn n_params(&self, shape: &RouterShape) -> usize;
    fn init(&self, shape: &RouterShape, device: &Device) -> OutsideRouter;
}

impl<P> DynPreset for P
where
    P: Preset + Send + Sync + 'static,
    P::Router: Sync + 'static,
{
    fn copy(&self) -> Box<dyn DynPreset> {
        Box::new(self.clone())
    }

    fn values(&self) -> Result<Map<String, Value>, String> {
        match serde_json::to_value(self) {
            Ok(Value::Object(values)) => Ok(values),
            Ok(other) => Err(format!("it is written as `{other}`, not as a table")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn info(&self) -> RouterInfo {
        RouterInfo {
            causality: Preset::causality(self),
            family: Preset::family(self),
            ..P::INFO
        }
    }

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        Preset::validate(self, n_experts)
    }

    fn extras(&self) -> Vec<Extra> {
        Preset::extras(self)
    }

    fn balance(&self) -> BalanceConfig {
        Preset::balance(self)
    }

    fn capacity_factor(&self) -> Option<f64> {
        Preset::capacity_factor(self)
    }

    fn with_capacity_factor(&self, factor: f64) -> Box<dyn DynPreset> {
        Box::new(Preset::with_capacity_factor(self.clone(), factor))
    }

    fn experts_per_token(&self, n_experts: usize) -> f64 {
        Preset::experts_per_token(self, n_experts)
    }

    fn rows_per_token(&self, n_experts: usize, seq_length: usize) -> f64 {
        Preset::rows_per_token(self, n_experts, seq_length)
    }

    fn n_params(&self, shape: &RouterShape) -> usize {
        Preset::n_params(self, shape)
    }

    fn init(&self, shape: &RouterShape, device: &Device) -> OutsideRouter {
        OutsideRouter::new(Preset::init(self, shape, device))
    }
}

impl OutsideConfig {
    pub(super) fn new(entry: Entry, preset: Box<dyn DynPreset>) -> Self {
        Self { entry, preset }
    }

    /// The name that the registry gave.
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// The keys, as the source documents them; with their defaults alone if the source is not known.
    pub fn keys(&self) -> Vec<RouterKey> {
        let documented = keys(self.entry.source, self.entry.short_type_name());
        if !documented.is_empty() {
            return documented;
        }
        let defaults = (self.entry.read)(Map::new()).ok();
        let values = defaults.and_then(|preset| preset.values().ok());
        let key = |(name, value): (String, Value)| RouterKey {
            name: name.leak(),
            kind: kind(&value),
            meaning: format!("Default: {value}"),
        };
        values.unwrap_or_default().into_iter().map(key).collect()
    }

    /// The values, without the name.
    pub fn values(&self) -> Map<String, Value> {
        // the registry has read and written the type's default
        self.preset.values().unwrap_or_default()
    }

    pub(crate) fn info(&self) -> RouterInfo {
        self.preset.info()
    }

    pub(crate) fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        self.preset.validate(n_experts)
    }

    pub(crate) fn extras(&self) -> Vec<Extra> {
        self.preset.extras()
    }

    pub(crate) fn balance(&self) -> BalanceConfig {
        self.preset.balance()
    }

    pub(crate) fn capacity_factor(&self) -> Option<f64> {
        self.preset.capacity_factor()
    }

    pub(crate) fn with_capacity_factor(&self, factor: f64) -> Self {
        Self::new(self.entry, self.preset.with_capacity_factor(factor))
    }

    pub(crate) fn experts_per_token(&self, n_experts: usize) -> f64 {
        self.preset.experts_per_token(n_experts)
    }

    pub(crate) fn rows_per_token(&self, n_experts: usize, seq_length: usize) -> f64 {
        self.preset.rows_per_token(n_experts, seq_length)
    }

    pub(crate) fn n_params(&self, shape: &RouterShape) -> usize {
        self.preset.n_params(shape)
    }

    pub(crate) fn init(&self, shape: &RouterShape, device: &Device) -> OutsideRouter {
        self.preset.init(shape, device)
    }
}

/// The type of a value in the words of Rust.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "f64",
        Value::Number(_) => "usize",
        Value::String(_) => "String",
        _ => "table",
    }
}

impl Clone for OutsideConfig {
    fn clone(&self) -> Self {
        Self::new(self.entry, self.preset.copy())
    }
}

impl PartialEq for OutsideConfig {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.values() == other.values()
    }
}

impl fmt::Debug for OutsideConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), Value::Object(self.values()))
    }
}

/// The name first, then the values, as the routers of the list are written.
impl Serialize for OutsideConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = self.preset.values().map_err(S::Error::custom)?;
        let mut map = serializer.serialize_map(Some(values.len() + 1))?;
        map.serialize_entry("name", self.name())?;
        for (key, value) in &values {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
