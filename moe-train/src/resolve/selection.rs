//! Choices of the selectors.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::known::lookup;
use super::nearest::nearest;
use super::{ConfigFile, Override, ResolveError};

/// The choices that a file and its overrides make for the selectors, such as `router.name`.
///
/// A selector that nobody sets is absent: the caller's defaults then choose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    choices: BTreeMap<String, Choice>,
}

#[derive(Debug, Clone, PartialEq)]
struct Choice {
    value: String,
    place: String,
}

impl Selection {
    /// The same selection with one more choice, for callers that select by hand.
    pub fn with(mut self, selector: &str, value: &str) -> Self {
        let place = format!("selection `{selector}={value}`");
        self.insert(selector, value, place);
        self
    }

    /// The choice of a selector, `None` where neither an override nor the file makes one.
    pub fn get(&self, selector: &str) -> Option<&str> {
        self.choices
            .get(selector)
            .map(|choice| choice.value.as_str())
    }

    /// The error for a choice that does not exist: it names where the choice was made, the nearest
    /// candidate and all of them.
    pub fn unknown(&self, selector: &str, candidates: &[&str]) -> ResolveError {
        let value = self.get(selector).unwrap_or_default();
        let all = format!("the choices are {}", candidates.join(", "));
        ResolveError::UnknownChoice {
            key: selector.into(),
            value: value.into(),
            place: match self.choices.get(selector) {
                Some(choice) => choice.place.clone(),
                None => "defaults".into(),
            },
            hint: match nearest(value, candidates.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? {all}"),
                None => all,
            },
        }
    }

    /// Reads the selectors from the overrides (the last one wins), then from the file's table.
    ///
    /// `table` is what is left of the file. A value that is not a string is skipped here; merging
    /// reports it as a wrong type.
    pub(super) fn read(
        selectors: &[&str],
        overrides: &[Override],
        file: Option<&ConfigFile>,
        table: &Table,
    ) -> Self {
        let mut selection = Self::default();
        for selector in selectors {
            if let Some((value, place)) = choice_of_overrides(selector, overrides) {
                selection.insert(selector, &value, place);
            } else if let (Some(Value::String(value)), Some(file)) = (lookup(table, selector), file)
            {
                selection.insert(selector, value, file.place(selector));
            }
        }
        selection
    }

    fn insert(&mut self, selector: &str, value: &str, place: String) {
        let choice = Choice {
            value: value.into(),
            place,
        };
        self.choices.insert(selector.into(), choice);
    }
}

fn choice_of_overrides(selector: &str, overrides: &[Override]) -> Option<(String, String)> {
    overrides.iter().rev().find_map(|given| {
        let table = given.table();
        let value = lookup(&table, selector)?.as_str()?;
        Some((value.to_string(), given.place()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SELECTORS: [&str; 2] = ["router.name", "model.family"];

    fn read(file: &str, overrides: &[&str]) -> Selection {
        let file = ConfigFile::parse("a.toml", file).unwrap();
        let overrides: Vec<_> = overrides
            .iter()
            .map(|text| Override::parse(text).unwrap())
            .collect();
        Selection::read(&SELECTORS, &overrides, Some(&file), file.table())
    }

    #[test]
    fn overrides_come_before_the_file() {
        let selection = read("router.name = 'mixtral'", &["router.name=switch"]);

        assert_eq!(selection.get("router.name"), Some("switch"));
        assert_eq!(selection.get("model.family"), None);
    }

    #[test]
    fn last_override_wins() {
        let selection = read("", &["router.name=switch", "router={name='hash'}"]);

        assert_eq!(selection.get("router.name"), Some("hash"));
    }

    #[test]
    fn wrong_types_are_skipped() {
        let selection = read("router.name = 'mixtral'", &["router.name=3"]);

        assert_eq!(selection.get("router.name"), Some("mixtral"));
    }

    #[test]
    fn unknown_choice_names_place_and_candidates() {
        let choices = ["mixtral", "switch"];
        let selection = read("\nrouter.name = 'mixtrl'", &[]);
        assert_eq!(
            selection.unknown("router.name", &choices).to_string(),
            "a.toml:2: `router.name` has no choice `mixtrl`; did you mean `mixtral`? the choices \
             are mixtral, switch"
        );

        let selection = read("", &["router.name=zzz"]);
        assert_eq!(
            selection.unknown("router.name", &choices).to_string(),
            "override `router.name=zzz`: `router.name` has no choice `zzz`; the choices are \
             mixtral, switch"
        );
    }

    #[test]
    fn choices_by_hand() {
        let selection = Selection::default().with("router.name", "switch");

        assert_eq!(selection.get("router.name"), Some("switch"));
    }
}
