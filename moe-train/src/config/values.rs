//! All values of a configuration as a flat list, for comparing.

use super::RunConfig;
use crate::data::DataConfig;
use moe_router::RouterConfig;
use toml::{Table, Value};

impl RunConfig {
    /// All keys with their values as nested tables, also those that a file leaves out where they say nothing.
    pub fn table(&self) -> Table {
        let mut table = Table::try_from(self).expect("a configuration is a table");
        let mut add = |part: &str, key: &str, value: Value| {
            if let Some(part) = table.get_mut(part).and_then(Value::as_table_mut) {
                part.entry(key).or_insert(value);
            }
        };
        // not written where they are empty, so that earlier runs keep their names
        if !matches!(self.data, DataConfig::Images(_)) {
            add("data", "column", "".into());
        }
        if matches!(self.data, DataConfig::Text(_)) {
            add("data", "validation_path", "".into());
        }
        add("train", "final_eval_windows", 0.into());
        add("train", "keep", "last".into());
        add("train", "from", "".into());
        for (key, value) in unwritten(&self.router) {
            add("router", key, value);
        }
        table
    }

    /// All keys of [`table`](Self::table) with their values, in the order of the file; tables as dotted keys.
    pub fn all_values(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        flatten("", &self.table(), &mut all);
        all
    }

    /// All keys with their values, in the order of the file; tables as dotted keys.
    pub fn values(&self) -> Vec<(String, String)> {
        let table = Table::try_from(self).expect("a configuration is a table");
        let mut all = Vec::new();
        flatten("", &table, &mut all);
        all
    }
}

/// The keys that a router leaves out where they have their defaults, with these.
fn unwritten(router: &RouterConfig) -> Vec<(&'static str, Value)> {
    match router {
        RouterConfig::Switch(_) => vec![("gate_bias", false.into())],
        RouterConfig::ExpertChoice(_) => vec![
            ("capacity_rounding", "nearest".into()),
            ("capacity_multiple_of", 1.into()),
            ("noise_std", 0.0.into()),
        ],
        RouterConfig::Vmoe(_) => vec![("capacity_rounding", "up".into())],
        RouterConfig::SoftMoe(_) => vec![("noise_std", 0.0.into())],
        _ => Vec::new(),
    }
}

fn flatten(prefix: &str, table: &Table, all: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            Value::Table(table) => flatten(&key, table, all),
            Value::String(text) => all.push((key, text.clone())),
            value => all.push((key, value.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_dotted_keys() {
        let config = RunConfig::with_router("switch").expect("a router");
        let values = config.values();
        assert_eq!(values[0], ("seed".to_owned(), "0".to_owned()));
        let has = |key: &str, value: &str| values.contains(&(key.to_owned(), value.to_owned()));
        assert!(has("router.name", "switch") && has("train.steps", "1000"));
    }

    #[test]
    fn every_key_of_every_router_can_be_set() {
        for name in RouterConfig::NAMES {
            let config = RunConfig::with_router(name).expect("a router");
            let table = config.table();
            let known = table["router"].as_table().expect("a table");
            for key in config.router.keys() {
                // what only published models have
                if key.kind.starts_with("Option<") {
                    continue;
                }
                let given = format!("router.{}={}", key.name, known[key.name]);
                let router = format!("router.name={name}");
                let again = RunConfig::of_overrides(&[&router, &given, "model.allow_leak=true"]);
                assert_eq!(again.expect(&given).router, config.router, "{given}");
            }
        }
    }

    #[test]
    fn keys_that_say_nothing_are_keys_too() {
        let config = RunConfig::with_router("switch").expect("a router");
        let has = |values: &[(String, String)], key: &str, value: &str| {
            values.contains(&(key.to_owned(), value.to_owned()))
        };
        assert!(!config.values().iter().any(|(key, _)| key == "train.keep"));
        assert!(has(&config.all_values(), "train.keep", "last"));
        assert!(has(&config.all_values(), "data.column", ""));
        let kept = RunConfig::of_overrides(&["train.keep=all"]).expect("a configuration");
        assert!(has(&kept.all_values(), "train.keep", "all"));
    }
}
