//! The tables of a file with `[results]`.

use super::names::Names;
use super::question::{Filter, Question};
use crate::ablate::{Explored, Rule};
use crate::stats::Goal;
use moe_train::resolve::typed;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) claim: Header,
    pub(super) results: ResultsTable,
    pub(super) explored: Option<Explored>,
    pub(super) rule: Vec<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) hypothesis: String,
    pub(super) source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResultsTable {
    pub(super) table: PathBuf,
    pub(super) arm: Option<String>,
    pub(super) seed: Option<String>,
    pub(super) names: Option<String>,
    #[serde(default, rename = "where")]
    pub(super) filters: Vec<String>,
    #[serde(default)]
    pub(super) costs: Vec<String>,
    pub(super) causal: Option<String>,
    #[serde(default)]
    pub(super) lower: Vec<String>,
    #[serde(default)]
    pub(super) higher: Vec<String>,
}

impl ResultsTable {
    pub(super) fn question(&self) -> Result<Question, String> {
        let filters = self.filters.iter().map(|text| Filter::parse(text));
        Ok(Question {
            arm: self.arm.clone(),
            seed: self.seed.clone(),
            names: self.names.as_deref().map(Names::parse).transpose()?,
            filters: filters.collect::<Result<_, _>>()?,
            costs: self.costs.clone(),
            causal: self.causal.clone(),
            ..Question::default()
        })
    }

    pub(super) fn goals(&self) -> Result<BTreeMap<String, Goal>, String> {
        if let Some(both) = self.lower.iter().find(|name| self.higher.contains(name)) {
            return Err(format!("`{both}` is among `lower` and among `higher`"));
        }
        let with = |names: &[String], goal| -> Vec<(String, Goal)> {
            names.iter().map(|name| (name.clone(), goal)).collect()
        };
        let lower = with(&self.lower, Goal::Lower);
        let higher = with(&self.higher, Goal::Higher);
        Ok(lower.into_iter().chain(higher).collect())
    }
}

/// A rule about a column, read as one about the loss.
pub(super) fn rule(mut table: toml::Table) -> Result<Rule, String> {
    let loss = toml::Value::from("loss");
    let column = match table.insert("metric".to_owned(), loss) {
        Some(toml::Value::String(column)) => column,
        _ => return Err("a rule needs a `metric`, the name of a column".to_owned()),
    };
    let rule: Rule = typed(table).map_err(|error| error.to_string())?;
    Ok(Rule {
        column: Some(column),
        ..rule
    })
}
