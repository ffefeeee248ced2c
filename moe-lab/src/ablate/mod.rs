//! Ablations: a grid of arms, several seeds each, and a paired table with a verdict.

mod claim;
mod comparable;
mod error;
mod grid;
mod outcome;
mod plan;
mod rule;
mod run;
mod sweep;
mod table;

pub use claim::{Claim, ClaimError};
pub use error::TableError;
pub use grid::{Arm, Axis, Grid, GridError};
pub use outcome::{ArmResult, SeedResult};
pub use plan::{AblateError, Plan, PlannedArm, TestedArm};
pub use rule::{Bound, ClaimReport, Decision, Metric, Rule, RuleReport};
pub use run::execute;
pub use sweep::{Sweep, SweepLine, SweepPoint};
pub use table::{AblationConfig, AblationReport, ArmReport, Spread};
