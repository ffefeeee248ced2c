//! The arms of an ablation that differ in one number alone: curves.

use super::Plan;
use moe_train::config::RunConfig;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// The fewest points of a curve.
const MIN_POINTS: usize = 3;

/// Curves over the values of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// The dotted key.
    pub key: String,
    /// The curves, in the order of the arms.
    pub lines: Vec<SweepLine>,
}

/// A curve: arms that differ in the key alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepLine {
    /// The first of the arms that were trained for it.
    pub label: String,
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
    /// The curves of a plan over `key`; `None` if no three arms differ in it alone, or if one of its values
    /// is not a number.
    pub(super) fn of(key: &str, plan: &Plan) -> Option<Self> {
        let mut lines: Vec<(Table, SweepLine)> = Vec::new();
        for tested in &plan.tested {
            let (value, rest) = without(&tested.config, key);
            let Some(value) = value else { continue };
            let point = SweepPoint {
                value: number(&value)?,
                label: tested.label.clone(),
            };
            match lines.iter_mut().find(|(other, _)| *other == rest) {
                Some((_, line)) => line.points.push(point),
                None => {
                    let label = plan.arms[tested.arm].label.clone();
                    let points = vec![point];
                    lines.push((rest, SweepLine { label, points }));
                }
            }
        }
        let mut lines: Vec<SweepLine> = lines.into_iter().map(|(_, line)| line).collect();
        lines.retain(|line| line.points.len() >= MIN_POINTS);
        for line in &mut lines {
            line.points.sort_by(|a, b| a.value.total_cmp(&b.value));
        }
        let key = key.to_owned();
        (!lines.is_empty()).then_some(Self { key, lines })
    }

    /// All values of all curves, rising.
    pub fn values(&self) -> Vec<f64> {
        let points = self.lines.iter().flat_map(|line| &line.points);
        let mut values: Vec<f64> = points.map(|point| point.value).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    }
}

/// The number that a configuration has at a key.
pub(super) fn value_of(config: &RunConfig, key: &str) -> Option<f64> {
    without(config, key).0.as_ref().and_then(number)
}

/// The value of a key, and the configuration without it.
fn without(config: &RunConfig, key: &str) -> (Option<Value>, Table) {
    let mut table = Table::try_from(config).expect("a configuration is a table");
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
    use crate::ablate::{Arm, Plan};
    use moe_train::resolve::ConfigFile;

    fn arm(label: &str, overrides: &[&str]) -> Arm {
        Arm {
            label: label.into(),
            overrides: overrides.iter().map(ToString::to_string).collect(),
        }
    }

    fn plan(arms: &[Arm], evaluations: &[Arm]) -> Plan {
        let base = ConfigFile::parse("a.toml", "router.name = 'switch'").unwrap();
        Plan::of_arms(&base, &[], [arms, evaluations], 1, None).unwrap()
    }

    fn points(line: &SweepLine) -> Vec<(f64, &str)> {
        let points = line.points.iter();
        points.map(|p| (p.value, p.label.as_str())).collect()
    }

    #[test]
    fn holds_the_arms_that_differ_in_the_key_alone() {
        let alpha = |x: &str| format!("balance.load_balance={x}");
        let arms = [
            arm("none", &[&alpha("0.0")]),
            arm("much", &[&alpha("1.0")]),
            arm("other router", &["router.name=mixtral", &alpha("0.5")]),
            arm("little", &[&alpha("0.01")]),
        ];
        let all = plan(&arms, &[]);
        let sweep = Sweep::of("balance.load_balance", &all).unwrap();
        assert_eq!(sweep.lines.len(), 1);
        assert_eq!(
            points(&sweep.lines[0]),
            [(0.0, "none"), (0.01, "little"), (1.0, "much")]
        );
        assert_eq!(sweep.values(), [0.0, 0.01, 1.0]);

        assert!(Sweep::of("balance.load_balance", &plan(&arms[..2], &[])).is_none());
        assert!(Sweep::of("router.name", &all).is_none());
        assert!(Sweep::of("no.such_key", &all).is_none());
    }

    #[test]
    fn each_trained_arm_has_a_curve_over_its_evaluations() {
        let arms = [
            arm("slow", &["train.lr=1e-4"]),
            arm("fast", &["train.lr=1e-2"]),
        ];
        let way = |c: &str| arm(c, &[&format!("router.capacity_factor={c}")]);
        let plan = plan(&arms, &[way("1.0"), way("0.5"), way("0.25")]);
        let sweep = Sweep::of("router.capacity_factor", &plan).unwrap();
        let labels: Vec<&str> = sweep.lines.iter().map(|line| line.label.as_str()).collect();
        assert_eq!(labels, ["slow", "fast"]);
        assert_eq!(
            points(&sweep.lines[1]),
            [(0.25, "fast, 0.25"), (0.5, "fast, 0.5"), (1.0, "fast, 1.0")]
        );
    }
}
