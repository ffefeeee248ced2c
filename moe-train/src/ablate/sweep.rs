//! The arms of an ablation that differ in one number alone: a curve.

use super::PlannedArm;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// A curve over the values of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// The dotted key.
    pub key: String,
    /// The points, by rising value.
    pub points: Vec<SweepPoint>,
}

/// A point of a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// The key's value.
    pub value: f64,
    /// The arm that has it.
    pub label: String,
}

impl Sweep {
    /// The baseline and the arms that differ from it in `key` alone; `None` if they are fewer than
    /// three, or if a value is not a number.
    pub(super) fn of(key: &str, arms: &[PlannedArm]) -> Option<Self> {
        let split: Vec<(Option<Value>, Table)> = arms.iter().map(|arm| without(arm, key)).collect();
        let rest = &split.first()?.1;
        let mut points = Vec::new();
        for (arm, (value, _)) in arms
            .iter()
            .zip(&split)
            .filter(|(_, split)| split.1 == *rest)
        {
            points.push(SweepPoint {
                value: number(value.as_ref()?)?,
                label: arm.label.clone(),
            });
        }
        points.sort_by(|a, b| a.value.total_cmp(&b.value));
        (points.len() >= 3).then(|| Self {
            key: key.into(),
            points,
        })
    }
}

/// The value of a key, and the configuration without it.
fn without(arm: &PlannedArm, key: &str) -> (Option<Value>, Table) {
    let mut table = Table::try_from(&arm.config).expect("a configuration is a table");
    let value = remove(&mut table, key);
    (value, table)
}

fn remove(table: &mut Table, key: &str) -> Option<Value> {
    match key.split_once('.') {
        None => table.remove(key),
        Some((name, rest)) => remove(table.get_mut(name)?.as_table_mut()?, rest),
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or(value.as_integer().map(|x| x as f64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::RunConfig;

    fn arm(label: &str, alpha: f64, router: &str) -> PlannedArm {
        let mut config = RunConfig::with_router(router).unwrap();
        config.balance.load_balance = alpha;
        PlannedArm {
            label: label.into(),
            config,
        }
    }

    #[test]
    fn holds_the_arms_that_differ_in_the_key_alone() {
        let arms = [
            arm("none", 0.0, "switch"),
            arm("much", 1.0, "switch"),
            arm("other router", 0.5, "mixtral"),
            arm("little", 0.01, "switch"),
        ];
        let sweep = Sweep::of("balance.load_balance", &arms).unwrap();
        let points: Vec<(f64, &str)> = sweep
            .points
            .iter()
            .map(|p| (p.value, p.label.as_str()))
            .collect();
        assert_eq!(points, [(0.0, "none"), (0.01, "little"), (1.0, "much")]);

        assert!(Sweep::of("balance.load_balance", &arms[..2]).is_none());
        assert!(Sweep::of("router.name", &arms).is_none());
        assert!(Sweep::of("no.such_key", &arms).is_none());
    }
}
