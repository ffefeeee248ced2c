//! The JSON document of a comparison: that of an ablation, without what the table does not say.

use moe_lab::ablate::{AblationReport, Given};
use serde_json::{Map, Value};

/// Keys of an arm that every table gives.
const OF_ARM: [&str; 6] = [
    "label",
    "evaluation",
    "comparable",
    "reason",
    "comparison",
    "verdict",
];

/// The document of a report.
pub(super) fn document(report: &AblationReport) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(report)?;
    let Some(given) = &report.given else {
        return Ok(document);
    };
    if let Some(whole) = document.as_object_mut() {
        whole.remove("merit");
        let arms = whole.get_mut("arms").and_then(Value::as_array_mut);
        for arm in arms.into_iter().flatten() {
            *arm = said(arm, given);
        }
    }
    Ok(document)
}

/// An arm with its scores, and what the table says besides.
fn said(arm: &Value, given: &Given) -> Value {
    let mut kept = Map::new();
    let known = given.causal.as_ref().map(|_| "causal");
    for key in OF_ARM.into_iter().chain(known) {
        if let Some(value) = arm.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    kept.insert("score".to_owned(), arm["loss"].clone());
    let run = |run: &Value| {
        let mut said = Map::new();
        for key in ["seed", "costs"].into_iter().chain(known) {
            if let Some(value) = run.get(key) {
                said.insert(key.to_owned(), value.clone());
            }
        }
        said.insert("score".to_owned(), run["loss"].clone());
        Value::Object(said)
    };
    let runs = arm["seeds"].as_array().into_iter().flatten().map(run);
    kept.insert("seeds".to_owned(), runs.collect());
    Value::Object(kept)
}
