//! Choices that keys imply without naming them.

use toml::{Table, Value};

use super::known::{lookup, split};
use super::{ConfigFile, Layers, Override};

/// A choice of a selector that keys of its table make without naming it: whoever writes `router.score`
/// and no `router.name` composes a router.
#[derive(Debug, Clone, Copy)]
pub struct Implied<'a> {
    /// The selector, such as `router.name`.
    pub selector: &'a str,
    /// The choice that is meant.
    pub choice: &'a str,
    /// The keys that mean it, in the selector's table.
    pub by: &'a [&'a str],
}

impl Implied<'_> {
    /// The first of the implying keys that a table has.
    fn key_in(&self, table: &Table) -> Option<String> {
        let outer = split(self.selector).0;
        self.by
            .iter()
            .map(|name| format!("{outer}.{name}"))
            .find(|key| lookup(table, key).is_some())
    }

    fn is_named_in(&self, table: &Table) -> bool {
        lookup(table, self.selector).is_some()
    }
}

impl Layers {
    /// Names an implied choice: in the file if the file implies it, and else in the overrides if one of
    /// them does. A choice that is named stays.
    pub fn imply(mut self, implied: &Implied<'_>) -> Self {
        let named_by_override = self
            .overrides
            .iter()
            .any(|given| implied.is_named_in(&given.table()));
        let of_file = self.file.as_ref().map(ConfigFile::table);
        if of_file.is_some_and(|table| implied.is_named_in(table)) {
            return self;
        }
        if let Some(key) = of_file.and_then(|table| implied.key_in(table)) {
            let choice = Value::String(implied.choice.to_owned());
            if let Some(file) = &mut self.file {
                file.add_beside(&key, implied.selector, choice);
            }
        } else if !named_by_override
            && let Some(by) = self
                .overrides
                .iter()
                .position(|given| implied.key_in(&given.table()).is_some())
        {
            let choice = Override::new(implied.selector, implied.choice);
            self.overrides.insert(by, choice);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const COMPOSED: Implied<'_> = Implied {
        selector: "router.name",
        choice: "composed",
        by: &["score", "select"],
    };

    fn layers(file: &str, overrides: &[&str]) -> Layers {
        let layers = Layers {
            file: Some(ConfigFile::parse("a.toml", file).unwrap()),
            overrides: overrides
                .iter()
                .map(|text| Override::parse(text).unwrap())
                .collect(),
        };
        layers.imply(&COMPOSED)
    }

    fn texts(layers: &Layers) -> Vec<&str> {
        layers.overrides.iter().map(Override::text).collect()
    }

    #[test]
    fn a_key_of_the_file_names_the_choice_in_the_file() {
        let layers = layers("\nrouter = { score = 'sigmoid' }", &[]);
        let file = layers.file.unwrap();
        assert_eq!(file.table()["router"]["name"].as_str(), Some("composed"));
        assert_eq!(file.place("router.name"), "a.toml:2");
    }

    #[test]
    fn a_name_stays() {
        let named = layers("router = { name = 'mixtral', score = 'x' }", &[]);
        let file = named.file.unwrap();
        assert_eq!(file.table()["router"]["name"].as_str(), Some("mixtral"));

        let named = layers("", &["router.select=top_p", "router.name=mixtral"]);
        assert_eq!(
            texts(&named),
            ["router.select=top_p", "router.name=mixtral"]
        );
    }

    #[test]
    fn other_keys_imply_nothing() {
        let layers = layers("router.top_k = 2\nscore = 1", &["router.top_k=1"]);
        assert!(
            !layers.file.as_ref().unwrap().table()["router"]
                .as_table()
                .unwrap()
                .contains_key("name")
        );
        assert_eq!(texts(&layers), ["router.top_k=1"]);
    }

    #[test]
    fn an_override_names_the_choice_if_the_file_does_not() {
        let implied = layers("seed = 1", &["seed=2", "router.select=top_p"]);
        assert_eq!(
            texts(&implied),
            ["seed=2", "router.name=composed", "router.select=top_p"]
        );
        let implied = layers("router.name = 'switch'", &["router.select=top_p"]);
        assert_eq!(texts(&implied), ["router.select=top_p"]);
    }

    #[test]
    fn without_a_file_overrides_imply() {
        let layers = Layers {
            file: None,
            overrides: vec![Override::parse("router={score='relu'}").unwrap()],
        };
        let layers = layers.imply(&COMPOSED);
        assert_eq!(layers.overrides.len(), 2);
    }
}
