//! Other names of choices.

use toml::Value;

use super::Layers;

/// Other names of the choices of a selector, each with the name that it stands for.
#[derive(Debug, Clone, Copy)]
pub struct Aliases<'a> {
    /// The selector, such as `router.name`.
    pub selector: &'a str,
    /// The other names and the names.
    pub names: &'a [(&'a str, &'a str)],
}

impl Aliases<'_> {
    /// Replaces a string that is another name.
    fn apply(&self, choice: &mut Value) {
        let given = choice.as_str().unwrap_or_default();
        if let Some((_, name)) = self.names.iter().find(|(other, _)| *other == given) {
            *choice = Value::String((*name).to_owned());
        }
    }
}

impl Layers {
    /// Writes the name of a choice wherever the file or an override has another name of it.
    pub fn unalias(mut self, aliases: &Aliases<'_>) -> Self {
        let of_file = self
            .file
            .as_mut()
            .and_then(|file| file.value_mut(aliases.selector));
        let of_overrides = self
            .overrides
            .iter_mut()
            .filter_map(|given| given.value_mut(aliases.selector));
        of_file
            .into_iter()
            .chain(of_overrides)
            .for_each(|choice| aliases.apply(choice));
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::resolve::{ConfigFile, Override};

    #[test]
    fn other_names_are_replaced_where_the_selector_stands() {
        let layers = Layers {
            file: Some(ConfigFile::parse("a.toml", "a = 'vmoe'\nrouter.name = 'vmoe'").unwrap()),
            overrides: ["router.name=vmoe", "router={name='vmoe'}", "x.name=vmoe"]
                .map(|text| Override::parse(text).unwrap())
                .to_vec(),
        };
        let aliases = Aliases {
            selector: "router.name",
            names: &[("vmoe", "v_moe")],
        };
        let layers = layers.unalias(&aliases);
        let file = layers.file.unwrap();
        assert_eq!(file.table()["router"]["name"].as_str(), Some("v_moe"));
        assert_eq!(file.table()["a"].as_str(), Some("vmoe"));
        assert_eq!(file.place("router.name"), "a.toml:2");
        let values: Vec<&Value> = layers.overrides.iter().map(Override::value).collect();
        assert_eq!(values[0].as_str(), Some("v_moe"));
        assert_eq!(values[1]["name"].as_str(), Some("v_moe"));
        assert_eq!(values[2].as_str(), Some("vmoe"));
        assert_eq!(layers.overrides[0].text(), "router.name=vmoe");
    }
}
