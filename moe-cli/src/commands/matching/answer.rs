//! The answer of `moe match`: the nearest value, between its neighbours.

use super::{Equal, MatchArgs};
use moe_lab::matching::{Counted, Nearest};
use moe_view::ablation::signed;
use moe_view::{Align, columns, quote, thousands};
use serde::Serialize;

/// The output.
#[derive(Serialize, Debug)]
pub(super) struct Answer {
    key: String,
    #[serde(flatten)]
    pub(super) nearest: Row,
    equal: Equal,
    target: u64,
    within_percent: f64,
    pub(super) is_within: bool,
    neighbours: Vec<Row>,
}

/// A value with its count, and how far that is from the target.
#[derive(Serialize, Debug)]
pub(super) struct Row {
    pub(super) value: u64,
    count: u64,
    pub(super) difference_percent: f64,
}

impl Row {
    fn new(counted: &Counted, target: u64) -> Self {
        let (count, target) = (counted.count as f64, target as f64);
        Self {
            value: counted.value,
            count: counted.count,
            difference_percent: 100.0 * (count - target) / target,
        }
    }
}

impl Answer {
    /// The answer of a search for a target.
    pub(super) fn new(found: &Nearest, target: u64, args: &MatchArgs) -> Self {
        let nearest = Row::new(&found.nearest, target);
        let neighbours = found.neighbours.iter();
        Self {
            key: args.key.key.clone(),
            equal: args.equal,
            target,
            within_percent: args.within,
            is_within: nearest.difference_percent.abs() <= args.within,
            neighbours: neighbours.map(|other| Row::new(other, target)).collect(),
            nearest,
        }
    }

    /// The value and its neighbours, in order, above the count to match.
    pub(super) fn text(&self, to: &[String]) -> String {
        let header = [&self.key, self.equal.words(), "difference (%)", ""];
        let mut table = vec![header.map(String::from).to_vec()];
        let mut rows: Vec<&Row> = self.neighbours.iter().chain([&self.nearest]).collect();
        rows.sort_by_key(|row| row.value);
        for row in rows {
            let is_nearest = row.value == self.nearest.value;
            table.push(vec![
                row.value.to_string(),
                thousands(row.count),
                signed(row.difference_percent),
                if is_nearest { "nearest" } else { "" }.to_owned(),
            ]);
        }
        use Align::{Left, Right};
        let to: Vec<String> = to.iter().map(|word| quote(word)).collect();
        format!(
            "{}\n\nto match: {} {} of {}",
            columns(&table, &[Right, Right, Right, Left]),
            thousands(self.target),
            self.equal.words(),
            to.join(" ")
        )
    }
}
