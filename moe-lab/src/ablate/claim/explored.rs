//! Looks at data before a claim's rules were fixed.

use serde::Deserialize;

/// Looks at the data before a claim's rules were fixed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explored {
    /// The seeds of the runs.
    pub seeds: Vec<u64>,
    /// The runs in words and numbers.
    pub what: String,
}

impl Explored {
    /// The runs in words, with their seeds.
    pub(crate) fn text(&self) -> String {
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        format!("{} (seeds {})", self.what, seeds.join(", "))
    }
}
