//! Tasks of a run: its data, its model, and the loss between them. The step loop, checkpoints and ablations
//! know no task; a task is one arm of each enum here.

mod check;
mod data;
mod kind;
mod learn;
mod merit;
mod model;

pub use check::Checked;
pub use data::{TaskBatch, TaskBatches, TaskData, TaskSummary};
pub use kind::Task;
pub use learn::TaskOutput;
pub use learn::best_classes;
pub use merit::{Goal, Merit};
pub use model::{AnyModel, AnyModelConfig, ModelAndData, OtherTask};
