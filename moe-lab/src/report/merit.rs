//! The number that runs are compared by.

use crate::stats::Goal;
use moe_train::run::EvalMetrics;
use moe_train::task::Task;
use serde::Serialize;

/// The number by which runs are compared: the one place of a report that knows what a task is scored by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Merit {
    /// The name, such as "validation bits per byte".
    pub name: String,
    /// The better direction.
    pub goal: Goal,
}

impl Merit {
    /// The figure of merit of a task.
    pub fn of_task(task: Task) -> Self {
        let merit = task.merit();
        Self {
            name: merit.of_validation().to_owned(),
            goal: merit.goal(),
        }
    }

    /// Its value in an evaluation.
    pub fn of(&self, eval: &EvalMetrics) -> f64 {
        eval.score()
    }
}
