//! Ablations: a grid of arms, several seeds each, and a paired table with a verdict.

mod comparable;
mod error;
mod figures;
mod grid;
mod outcome;
mod plan;
mod render;
mod run;
mod table;

pub use error::TableError;
pub use grid::{Arm, Axis, Grid, GridError};
pub use outcome::{ArmResult, SeedResult};
pub use plan::{AblateError, Plan, PlannedArm};
pub use run::execute;
pub use table::{AblationConfig, AblationReport, ArmReport, Spread};
