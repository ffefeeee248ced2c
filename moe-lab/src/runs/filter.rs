//! Filters of a list of runs: `key=value`, compared with resolved configurations.

use moe_router::RouterConfig;
use moe_train::config::{ModelConfig, RunConfig};
use moe_train::resolve::{Override, ResolveError, key_hint};
use toml::{Table, Value};

/// A value that a run's configuration must have to be listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Override);

impl Filter {
    /// Parses `key=value`, as overrides are.
    ///
    /// # Errors
    ///
    /// As [`Override::parse`].
    pub fn parse(text: &str) -> Result<Self, ResolveError> {
        Override::parse(text).map(Self)
    }

    /// The filter as it was given.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// The dotted key.
    pub fn key(&self) -> &str {
        self.0.key()
    }

    /// Tells whether a configuration has the value. An integer equals a float of the same value.
    pub fn matches(&self, config: &Table) -> bool {
        self.value_in(config)
            .is_some_and(|value| same(value, self.0.value()))
    }

    /// The value that a configuration has for the key.
    pub(super) fn value_in<'a>(&self, config: &'a Table) -> Option<&'a Value> {
        let (tables, last) = self.key().rsplit_once('.').unwrap_or(("", self.key()));
        let mut tables = tables.split('.').filter(|name| !name.is_empty());
        let inner = tables.try_fold(config, |table, name| table.get(name)?.as_table());
        inner?.get(last)
    }

    /// Refuses a key that none of these configurations has, and no router or family by default.
    pub(super) fn check(&self, configs: &[Table]) -> Result<(), ResolveError> {
        let is_in = |config: &Table| self.value_in(config).is_some();
        if configs.iter().any(is_in) {
            return Ok(());
        }
        let mut known = Table::new();
        for config in defaults().iter().chain(configs) {
            add(&mut known, config);
        }
        match key_hint(self.key(), &known) {
            None => Ok(()),
            Some(hint) => Err(ResolveError::UnknownKey {
                key: self.key().to_owned(),
                place: format!("filter `{}`", self.text()),
                hint,
            }),
        }
    }
}

/// The default configuration of each family and of each router.
fn defaults() -> Vec<Table> {
    let families = ModelConfig::NAMES.iter();
    let families =
        families.filter_map(|name| RunConfig::of_overrides(&[format!("model.family={name}")]).ok());
    let names = RouterConfig::names();
    let routers = names
        .iter()
        .filter_map(|name| RunConfig::with_router(name).ok());
    families
        .chain(routers)
        .map(|config| config.table())
        .collect()
}

/// Adds the keys of a table that another lacks.
fn add(known: &mut Table, other: &Table) {
    for (name, value) in other {
        match (known.get_mut(name), value) {
            (Some(Value::Table(known)), Value::Table(other)) => add(known, other),
            (Some(_), _) => (),
            (None, value) => {
                known.insert(name.clone(), value.clone());
            }
        }
    }
}

fn same(value: &Value, given: &Value) -> bool {
    match (value, given) {
        (Value::Float(value), Value::Integer(given)) => *value == *given as f64,
        (Value::Array(values), Value::Array(given)) => {
            let all_same = |(value, given)| same(value, given);
            values.len() == given.len() && values.iter().zip(given).all(all_same)
        }
        (value, given) => value == given,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table(overrides: &[&str]) -> Table {
        RunConfig::of_overrides(overrides).unwrap().table()
    }

    #[test]
    fn values_are_compared_as_overrides_are() {
        let config = table(&[
            "router.name=switch",
            "router.capacity_factor=2",
            "train.lr=3e-4",
        ]);
        let matches = |text: &str| Filter::parse(text).unwrap().matches(&config);
        for text in [
            "router.name=switch",
            "router.name='switch'",
            "router.capacity_factor=2",
            "router.capacity_factor=2.0",
            "train.lr=0.0003",
            "train.steps=1_000",
            "train.keep=last",
            "seed=0",
        ] {
            assert!(matches(text), "{text}");
        }
        for text in [
            "router.name=mixtral",
            "router.capacity_factor=3",
            "train.steps=1000.0",
            "router.top_k=2",
            "router=switch",
            "router.name.more=switch",
        ] {
            assert!(!matches(text), "{text}");
        }
    }

    #[test]
    fn a_key_that_no_run_can_have_is_refused() {
        let configs = [table(&[])];
        let check = |text: &str| Filter::parse(text).unwrap().check(&configs);
        check("router.top_k=1").unwrap();
        // of another router, and of another family
        check("router.capacity_factor=1").unwrap();
        check("model.patch_size=4").unwrap();
        let error = check("router.topk=1").unwrap_err().to_string();
        assert_eq!(
            error,
            "filter `router.topk=1`: unknown key `router.topk`; did you mean `router.top_k`?"
        );
        assert!(Filter::parse("mixtral").is_err());
    }
}
