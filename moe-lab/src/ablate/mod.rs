//! Ablations: a grid of arms, several seeds each, and a paired table with a verdict.

mod analysed;
mod arm_report;
mod claim;
mod comparable;
mod differ;
mod error;
mod given;
mod grid;
mod make;
mod matrix;
mod outcome;
mod over_ranks;
mod plan;
mod rule;
mod run;
mod runs_csv;
mod scale;
mod sweep;
mod table;
mod training;
mod tune;

pub use arm_report::{ArmReport, Spread};
pub(crate) use claim::MIN_SEEDS;
pub use claim::{Claim, ClaimError, Explored};
pub use comparable::Budget;
pub use differ::Difference;
pub use error::{AblateError, TableError};
pub use given::{Given, Pairing};
pub use grid::{Arm, Axis, Grid, GridError};
pub use outcome::{ArmResult, SeedResult};
pub use over_ranks::OverRanks;
pub use plan::{Plan, PlannedArm, PlannedRun, TestedArm};
pub(crate) use rule::together;
pub use rule::{
    Bound, ClaimReport, Decision, Levels, Look, Metric, Rule, RuleReport, Side, Statement,
};
pub use run::{Executed, Others, execute, reported};
pub use runs_csv::{CsvError, MadeRuns, from_csv, to_csv};
pub use scale::Scaling;
pub use sweep::{Sweep, SweepLine, SweepPoint};
pub use table::{AblationConfig, AblationReport};
pub use training::Training;
pub use tune::{Tune, TuneReport, TunedArm};
