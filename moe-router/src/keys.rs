//! The keys of a router's configuration, read from the documentation in its source.

/// One value of a router's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterKey {
    /// Its name in the table `[router]`.
    pub name: &'static str,
    /// Its type in Rust.
    pub kind: &'static str,
    /// Its meaning, with the default.
    pub meaning: String,
}

/// The documented public fields of a struct in a source text.
pub(crate) fn keys(source: &'static str, config: &str) -> Vec<RouterKey> {
    let head = format!("\npub struct {config} {{\n");
    let Some(start) = source.find(&head) else {
        return Vec::new();
    };
    let mut keys = Vec::new();
    let mut meaning: Vec<&str> = Vec::new();
    let lines = source[start + head.len()..].lines().map(str::trim);
    for line in lines.take_while(|line| *line != "}") {
        if let Some(text) = line.strip_prefix("///") {
            meaning.push(text.trim());
        }
        let field = line
            .strip_prefix("pub ")
            .and_then(|field| field.split_once(": "));
        if let Some((name, kind)) = field {
            keys.push(RouterKey {
                name,
                kind: kind.trim_end_matches(','),
                meaning: std::mem::take(&mut meaning).join(" "),
            });
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RouterConfig;
    use serde_json::{Value, json};

    #[test]
    fn a_field_has_its_documentation() {
        let source = "\npub struct A {\n    /// One\n    /// and more. Default: 2\n    #[serde(skip)]\n    pub x: Option<f64>,\n}\n";
        let expected = RouterKey {
            name: "x",
            kind: "Option<f64>",
            meaning: "One and more. Default: 2".to_owned(),
        };
        assert_eq!(keys(source, "A"), [expected]);
        assert_eq!(keys(source, "B"), []);
    }

    #[test]
    fn the_keys_are_those_that_configurations_have() {
        for name in RouterConfig::NAMES {
            let config = RouterConfig::from_name(name).expect("a name of the list");
            let keys = config.keys();
            let written = serde_json::to_value(&config).expect("a configuration");
            for key in written.as_object().expect("a table").keys() {
                let is_there = key == "name" || keys.iter().any(|own| own.name == key);
                assert!(is_there, "{name}: {key}");
            }
            for key in &keys {
                assert!(key.meaning.contains("Default: "), "{name}.{}", key.name);
                let given = json!({ "name": name, key.name: { "no": "such value" } });
                let error =
                    serde_json::from_value::<RouterConfig>(given).map_err(|e| e.to_string());
                let is_unknown = error.is_err_and(|error| error.contains("unknown field"));
                assert!(!is_unknown, "{name}.{}", key.name);
            }
            let unknown: Value = json!({ "name": name, "no_such_key": 1 });
            assert!(
                serde_json::from_value::<RouterConfig>(unknown).is_err(),
                "{name}"
            );
        }
    }
}
