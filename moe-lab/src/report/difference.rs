//! Differences of configurations, and the shortest names that tell them apart.

use moe_train::config::{RunConfig, SELECTORS};
use serde::Serialize;

/// A key in which configurations differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The dotted key.
    pub key: String,
    /// Its value in each configuration; none where the key does not exist.
    pub values: Vec<Option<String>>,
}

/// The keys but the seed in which configurations differ, those that choose a table's defaults first.
pub fn differences(configs: &[&RunConfig]) -> Vec<Difference> {
    differences_of(configs.iter().map(|config| flat(config)).collect())
}

/// The keys, the seed and those that a file leaves out among them, in which configurations differ, those that choose
/// a table's defaults first.
pub(crate) fn differences_with_seed(configs: &[&RunConfig]) -> Vec<Difference> {
    differences_of(configs.iter().map(|config| config.all_values()).collect())
}

fn differences_of(tables: Vec<Vec<(String, String)>>) -> Vec<Difference> {
    let mut keys: Vec<&str> = SELECTORS.to_vec();
    for (key, _) in tables.iter().flatten() {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let value = |table: &Vec<(String, String)>, key: &str| {
        let entry = table.iter().find(|(other, _)| other == key);
        entry.map(|(_, value)| value.clone())
    };
    keys.into_iter()
        .map(|key| Difference {
            key: key.to_owned(),
            values: tables.iter().map(|table| value(table, key)).collect(),
        })
        .filter(|difference| difference.values.iter().any(|v| *v != difference.values[0]))
        .collect()
}

/// The names of a configuration among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// With keys, such as `router.name=switch`.
    pub(super) long: String,
    /// Values alone where that is clear, such as `switch`.
    pub(super) short: String,
}

/// Names of as few differences as tell `n` configurations apart, the first differences first.
pub(super) fn names(differences: &[Difference], n: usize) -> Vec<Name> {
    let mut chosen: Vec<&Difference> = Vec::new();
    let distinct = |chosen: &[&Difference]| {
        let mut rows: Vec<Vec<&Option<String>>> = (0..n)
            .map(|i| {
                chosen
                    .iter()
                    .map(|difference| &difference.values[i])
                    .collect()
            })
            .collect();
        rows.sort();
        rows.dedup();
        rows.len()
    };
    for difference in differences {
        let with: Vec<&Difference> = chosen.iter().copied().chain([difference]).collect();
        if distinct(&with) > distinct(&chosen) {
            chosen = with;
        }
    }
    let name = |i: usize| {
        let parts = |part: fn(&str, &str) -> String| {
            let parts = chosen.iter().filter_map(|difference| {
                let value = difference.values[i].as_deref()?;
                Some(part(&difference.key, value))
            });
            parts.collect::<Vec<_>>().join(" ")
        };
        Name {
            long: parts(|key, value| format!("{key}={value}")),
            short: parts(short),
        }
    };
    (0..n).map(name).collect()
}

fn short(key: &str, value: &str) -> String {
    if SELECTORS.contains(&key) {
        return value.to_owned();
    }
    let last = key.rsplit('.').next().unwrap_or(key);
    format!("{last}={value}")
}

/// All keys but the seed with their values.
fn flat(config: &RunConfig) -> Vec<(String, String)> {
    let mut all = config.values();
    all.retain(|(key, _)| key != "seed");
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(overrides: &[&str]) -> RunConfig {
        RunConfig::of_overrides(overrides).unwrap()
    }

    #[test]
    fn the_seed_is_no_difference() {
        let [a, b] = [config(&["seed=1"]), config(&["seed=2"])];
        assert!(differences(&[&a, &b]).is_empty());
    }

    #[test]
    fn a_choice_names_what_it_brings_with_it() {
        let [a, b] = [config(&[]), config(&["router.name=switch"])];
        let differences = differences(&[&a, &b]);
        assert_eq!(differences[0].key, "router.name");
        assert!(differences.len() > 1, "{differences:?}");
        let names = names(&differences, 2);
        assert_eq!(names[1].long, "router.name=switch");
        assert_eq!(
            (names[0].short.as_str(), names[1].short.as_str()),
            ("mixtral", "switch")
        );
    }

    #[test]
    fn as_many_keys_as_it_takes() {
        let configs = [
            config(&["router.name=switch"]),
            config(&["router.name=switch", "train.lr=0.5"]),
            config(&["router.name=mixtral"]),
        ];
        let differences = differences(&configs.each_ref());
        let names = names(&differences, 3);
        let long: Vec<&str> = names.iter().map(|name| name.long.as_str()).collect();
        assert_eq!(
            long,
            [
                "router.name=switch train.lr=0.002",
                "router.name=switch train.lr=0.5",
                "router.name=mixtral train.lr=0.002"
            ]
        );
        assert_eq!(names[1].short, "switch lr=0.5");
    }
}
