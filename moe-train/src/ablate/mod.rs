//! Ablations: a grid of arms, several seeds each, and a paired table with a verdict.

mod claim;
mod comparable;
mod error;
mod figures;
mod grid;
mod outcome;
mod plan;
mod render;
mod rule;
mod run;
mod svg;
mod sweep;
mod table;

pub use claim::{Claim, ClaimError};
pub use error::TableError;
pub use grid::{Arm, Axis, Grid, GridError};
pub use outcome::{ArmResult, SeedResult};
pub use plan::{AblateError, Plan, PlannedArm, TestedArm};
pub use render::TableConfig;
pub use rule::{Bound, ClaimReport, Decision, Metric, Rule, RuleReport};
pub use run::execute;
pub use svg::{FigureConfig, Panel, figure};
pub use sweep::{Sweep, SweepLine, SweepPoint};
pub use table::{AblationConfig, AblationReport, ArmReport, Spread};
