//! The names that other crates give to their routers.

use super::config::{DynPreset, OutsideConfig};
use crate::{Preset, RouterConfig};
use serde_json::{Map, Value};
use std::sync::{PoisonError, RwLock};
use thiserror::Error;

/// Reads the values of a configuration, without its name.
pub(super) type Read = fn(Map<String, Value>) -> Result<Box<dyn DynPreset>, serde_json::Error>;

/// A name and what stands behind it.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(super) name: &'static str,
    /// The source text of the configuration, whose documentation explains its keys; empty if unknown.
    pub(super) source: &'static str,
    /// The path of the configuration's type.
    type_name: &'static str,
    pub(super) read: Read,
}

/// The routers of this process that are not of the list. Entries stay for good.
static REGISTERED: RwLock<Vec<Entry>> = RwLock::new(Vec::new());

/// Routers by name: the built-in ones and those that another crate adds.
///
/// ```
/// use moe_router::{Registry, RouterConfig, zoo::MixtralRouterConfig};
///
/// Registry::builtin().with::<MixtralRouterConfig>("mine").install()?;
/// assert_eq!(RouterConfig::from_name("mine").map(|router| router.name()), Some("mine"));
/// # Ok::<(), moe_router::RegistryError>(())
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    entries: Vec<Entry>,
}

/// A name that cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// The name is taken by another router.
    #[error("two routers are named `{0}`: give yours another name")]
    Taken(&'static str),
    /// The name could not be written in a configuration or a folder's name.
    #[error("a router cannot be named `{0}`: use lower-case letters, digits and `_`")]
    Name(&'static str),
    /// The default configuration is no table of values, or cannot be read back.
    #[error("the default configuration of the router `{name}` cannot be read back: {what}")]
    Default {
        /// The name.
        name: &'static str,
        /// What is wrong.
        what: String,
    },
}

impl Registry {
    /// The built-in routers.
    pub fn builtin() -> Self {
        Self::default()
    }

    /// Adds a router by its configuration.
    pub fn with<P>(self, name: &'static str) -> Self
    where
        P: Preset + Send + Sync + 'static,
        P::Router: Sync + 'static,
    {
        self.with_source::<P>(name, "")
    }

    /// Adds a router by its configuration and the text of the file that defines it,
    /// `include_str!("angle.rs")`: the command prints the documentation of its keys.
    pub fn with_source<P>(mut self, name: &'static str, source: &'static str) -> Self
    where
        P: Preset + Send + Sync + 'static,
        P::Router: Sync + 'static,
    {
        self.entries.push(Entry {
            name,
            source,
            type_name: std::any::type_name::<P>(),
            read: |values| {
                let preset: P = serde_json::from_value(Value::Object(values))?;
                Ok(Box::new(preset))
            },
        });
        self
    }

    /// Makes the names known in this process. Installing the same router again changes nothing.
    ///
    /// # Errors
    ///
    /// Returns an error, and installs none, if a name is taken or cannot be written, or if a default
    /// configuration cannot be read back.
    pub fn install(self) -> Result<(), RegistryError> {
        let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
        let mut entries = registered.clone();
        for entry in self.entries {
            let name = entry.name;
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.chars().all(is_plain) {
                return Err(RegistryError::Name(name));
            }
            if RouterConfig::NAMES.contains(&name) {
                return Err(RegistryError::Taken(name));
            }
            match entries.iter().find(|other| other.name == name) {
                Some(other) if other.type_name == entry.type_name => continue,
                Some(_) => return Err(RegistryError::Taken(name)),
                None => {}
            }
            check_default(&entry)?;
            entries.push(entry);
        }
        *registered = entries;
        Ok(())
    }
}

/// Reads the default configuration, writes it and reads it again.
fn check_default(entry: &Entry) -> Result<(), RegistryError> {
    let problem = |what: String| RegistryError::Default {
        name: entry.name,
        what,
    };
    let default = (entry.read)(Map::new()).map_err(|error| {
        problem(format!(
            "{error}; give every key a default: #[serde(default)]"
        ))
    })?;
    let again = (entry.read)(default.values().map_err(problem)?);
    again.map(drop).map_err(|error| problem(error.to_string()))
}

/// The router of a name that another crate gave.
pub(crate) fn registered(name: &str) -> Option<Entry> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    registered.iter().copied().find(|entry| entry.name == name)
}

/// The names that other crates gave, in the order in which they were installed.
pub(crate) fn registered_names() -> Vec<&'static str> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    registered.iter().map(|entry| entry.name).collect()
}

impl Entry {
    /// The configuration of some values; those that are left out have their defaults.
    pub(crate) fn config(
        self,
        values: Map<String, Value>,
    ) -> Result<OutsideConfig, serde_json::Error> {
        (self.read)(values).map(|preset| OutsideConfig::new(self, preset))
    }

    /// The last part of the configuration's type.
    pub(super) fn short_type_name(self) -> &'static str {
        self.type_name.rsplit("::").next().unwrap_or_default()
    }
}
