//! All values of a configuration as a flat list, for comparing.

use super::RunConfig;
use crate::data::DataConfig;
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
