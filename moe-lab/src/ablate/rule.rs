//! The rules that decide a claim: an arm's mean over seeds against a number or another arm's, or an order of arms.

mod decision;
mod levels;
mod metric;
mod test;

pub(crate) use decision::together;
pub use decision::{ClaimReport, Decision, RuleReport};
pub use levels::{Levels, Look};
pub use metric::Metric;

use super::Budget;
use crate::stats::TREND_ARMS;
use serde::Deserialize;
use std::fmt;

/// The bound or arm that an arm is compared with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    /// A number.
    Number(f64),
    /// Another arm, seed against same seed.
    Arm(String),
}

/// The side of a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Larger than the bound.
    Above,
    /// Smaller than the bound.
    Below,
}

/// The statement of a rule about its arms.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// The mean lies on one side of a bound: superiority.
    Is(Side, Bound),
    /// The mean lies on the other side by less than a margin: non-inferiority.
    IsNot(Side, Bound, f64),
    /// The mean lies within a margin of a bound: equivalence.
    Equals(Bound, f64),
    /// The values rise, or fall, with a key of the configuration.
    Trend {
        /// True if they rise.
        rises: bool,
        /// The dotted key whose values order the arms.
        along: String,
    },
}

/// A rule: a statement about a metric of each of some arms, or of their order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RuleTable")]
pub struct Rule {
    /// The arms; but for a trend the rule is about each of them.
    pub arms: Vec<String>,
    /// The things compared.
    pub metric: Metric,
    /// The column of another program's table, whose scores stand in place of the loss.
    pub column: Option<String>,
    /// The statement.
    pub statement: Statement,
    /// The cost that two arms must share.
    pub budget: Budget,
}

/// A rule as the file writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    arms: Vec<String>,
    metric: Metric,
    above: Option<Bound>,
    below: Option<Bound>,
    not_above: Option<Bound>,
    not_below: Option<Bound>,
    equal: Option<Bound>,
    margin: Option<f64>,
    trend: Option<Direction>,
    along: Option<String>,
    budget: Option<Budget>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Rising,
    Falling,
}

impl TryFrom<RuleTable> for Rule {
    type Error = String;

    fn try_from(table: RuleTable) -> Result<Self, String> {
        table.check_margin()?;
        let statement = match <[Statement; 1]>::try_from(table.statements()?) {
            Ok([statement]) => statement,
            Err(_) => return Err(
                "a rule needs one of `above`, `below`, `not_above`, `not_below`, `equal` and `trend`".into(),
            ),
        };
        if table.margin.is_some() && !statement.takes_margin() {
            return Err("`margin` goes with `not_above`, `not_below` or `equal`".into());
        }
        Ok(Self {
            arms: table.arms,
            metric: table.metric,
            column: None,
            statement,
            budget: table.budget.unwrap_or_default(),
        })
    }
}

impl RuleTable {
    fn check_margin(&self) -> Result<(), String> {
        match self.margin {
            Some(margin) if !(margin > 0.0 && margin.is_finite()) => Err(format!(
                "margin = {margin}: a margin is a positive number, fixed before the runs; nothing is ever \
                 shown to differ by less than 0"
            )),
            _ => Ok(()),
        }
    }

    /// All statements that the table makes, of which a rule has one.
    fn statements(&self) -> Result<Vec<Statement>, String> {
        let margin = |name: &str| {
            self.margin.ok_or_else(|| {
                format!("`{name}` needs a `margin`, the largest difference that is allowed")
            })
        };
        let mut statements = Vec::new();
        for (side, bound) in [(Side::Above, &self.above), (Side::Below, &self.below)] {
            statements.extend(bound.clone().map(|bound| Statement::Is(side, bound)));
        }
        if let Some(bound) = self.not_above.clone() {
            statements.push(Statement::IsNot(Side::Above, bound, margin("not_above")?));
        }
        if let Some(bound) = self.not_below.clone() {
            statements.push(Statement::IsNot(Side::Below, bound, margin("not_below")?));
        }
        if let Some(bound) = self.equal.clone() {
            statements.push(Statement::Equals(bound, margin("equal")?));
        }
        match (&self.trend, self.along.clone()) {
            (Some(direction), Some(along)) => statements.push(Statement::Trend {
                rises: matches!(direction, Direction::Rising),
                along,
            }),
            (None, None) => (),
            _ => {
                return Err(
                    "a trend needs both `trend` and `along`, the key that orders its arms".into(),
                );
            }
        }
        Ok(statements)
    }
}

impl Statement {
    fn takes_margin(&self) -> bool {
        matches!(self, Self::IsNot(..) | Self::Equals(..))
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Above => "above",
            Side::Below => "below",
        })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Number(number) => write!(f, "{number}"),
            Bound::Arm(arm) => write!(f, "that of `{arm}`"),
        }
    }
}

impl Side {
    fn sign(self) -> f64 {
        match self {
            Side::Above => 1.0,
            Side::Below => -1.0,
        }
    }
}

impl Rule {
    /// The name of the things compared.
    pub fn name(&self) -> &str {
        self.column.as_deref().unwrap_or(self.metric.name())
    }

    /// Checks the rule against the names of the arms.
    pub(crate) fn check(&self, names: &[String]) -> Result<(), String> {
        if self.arms.is_empty() {
            return Err("a rule needs at least one arm in `arms`".into());
        }
        if let Statement::Trend { .. } = self.statement
            && !TREND_ARMS.contains(&self.arms.len())
        {
            return Err(format!(
                "a trend over {} arms: it needs {} to {}",
                self.arms.len(),
                TREND_ARMS.start(),
                TREND_ARMS.end()
            ));
        }
        let bound = match &self.statement {
            Statement::Is(_, bound)
            | Statement::IsNot(_, bound, _)
            | Statement::Equals(bound, _) => Some(bound),
            Statement::Trend { .. } => None,
        };
        let other = match bound {
            Some(Bound::Arm(arm)) => Some(arm),
            _ => None,
        };
        let mut named = self.arms.iter().chain(other);
        match named.find(|arm| !names.contains(arm)) {
            Some(arm) => Err(format!(
                "a rule names no arm `{arm}`; the arms are {}",
                names.join(", ")
            )),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statement::Is(side, bound) => write!(f, "is {side} {bound}"),
            Statement::IsNot(side, bound, margin) => {
                write!(f, "is not {side} {bound} by {margin}")
            }
            Statement::Equals(bound, margin) => write!(f, "is within {margin} of {bound}"),
            Statement::Trend { along, .. } => write!(f, "follows {along}"),
        }
    }
}
