//! The tables of a claim's file as they are written.

use super::Explored;
use crate::ablate::{Arm, Rule, Tune};
use serde::Deserialize;
use toml::{Table, Value};

/// All tables of a file with a table `[claim]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) claim: Header,
    pub(super) explored: Option<Explored>,
    pub(super) tune: Option<TuneTable>,
    pub(super) scale: Option<ScaleTable>,
    pub(super) base: Value,
    pub(super) arm: Vec<ArmTable>,
    #[serde(default)]
    pub(super) evaluate: Vec<ArmTable>,
    pub(super) rule: Vec<Rule>,
}

/// The table `[claim]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) hypothesis: String,
    pub(super) source: String,
    pub(super) seeds: u64,
    pub(super) look: Option<u64>,
    pub(super) sweep: Option<String>,
    pub(super) ranks: Option<usize>,
}

/// An arm, or an evaluation: a name and the values that it sets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArmTable {
    pub(super) name: String,
    #[serde(default)]
    pub(super) set: Table,
}

/// The table `[tune]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TuneTable {
    pub(super) key: String,
    pub(super) values: Vec<Value>,
    pub(super) seeds: Vec<u64>,
    #[serde(default)]
    pub(super) alike: Vec<Vec<String>>,
}

/// The table `[scale]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScaleTable {
    pub(super) budgets: Vec<f64>,
}

impl From<ArmTable> for Arm {
    fn from(table: ArmTable) -> Self {
        let mut overrides = Vec::new();
        flatten("", &table.set, &mut overrides);
        Self {
            label: table.name,
            overrides,
        }
    }
}

impl TryFrom<TuneTable> for Tune {
    type Error = String;

    fn try_from(table: TuneTable) -> Result<Self, String> {
        let values = table.values.iter().map(Value::to_string).collect();
        Self::new(table.key, values, table.seeds)?.with_alike(table.alike)
    }
}

/// Writes nested tables as `a.b=value`.
fn flatten(prefix: &str, table: &Table, overrides: &mut Vec<String>) {
    for (name, value) in table {
        match value {
            Value::Table(inner) => flatten(&format!("{prefix}{name}."), inner, overrides),
            value => overrides.push(format!("{prefix}{name}={value}")),
        }
    }
}
