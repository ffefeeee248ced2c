//! All values of a configuration as a flat list, for comparing.

use super::RunConfig;
use toml::{Table, Value};

impl RunConfig {
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
}
