//! The keys in which configurations differ.

use moe_train::config::RunConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A key in which arms differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The dotted key.
    pub key: String,
    /// Its value in each arm as TOML; `None` where an arm has no such key.
    pub values: Vec<Option<String>>,
}

/// The keys in which some configurations differ, by name.
pub(super) fn differences<'a>(configs: impl Iterator<Item = &'a RunConfig>) -> Vec<Difference> {
    let flat: Vec<BTreeMap<String, String>> = configs
        .map(|config| config.all_values().into_iter().collect())
        .collect();
    let mut keys: Vec<&String> = flat.iter().flat_map(BTreeMap::keys).collect();
    keys.sort();
    keys.dedup();
    let difference = |key: &String| {
        let values: Vec<Option<String>> = flat.iter().map(|arm| arm.get(key).cloned()).collect();
        let is_same = values.iter().all(|value| *value == values[0]);
        (!is_same).then(|| Difference {
            key: key.clone(),
            values,
        })
    };
    keys.into_iter().filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_router_swaps_more_than_its_name() {
        let [a, b] = ["mixtral", "switch"].map(|name| RunConfig::with_router(name).unwrap());
        let found = differences([&a, &b].into_iter());
        let of = |key: &str| {
            let difference = found.iter().find(|difference| difference.key == key);
            difference.map(|difference| difference.values.clone())
        };
        let both = |a: &str, b: &str| Some(vec![Some(a.to_owned()), Some(b.to_owned())]);
        assert_eq!(of("router.name"), both("mixtral", "switch"));
        assert_eq!(of("train.lr"), None);
        assert!(of("router.top_k").is_some(), "{found:?}");
        assert!(differences([&a, &a].into_iter()).is_empty());
    }
}
