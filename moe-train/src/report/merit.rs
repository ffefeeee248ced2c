use crate::run::EvalMetrics;
use crate::stats::Goal;
use serde::Serialize;

/// The number by which runs are compared: the one place of a report that knows what a task is scored by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Merit {
    /// What it is, such as "validation bits per byte".
    pub name: String,
    /// Which direction is better.
    pub goal: Goal,
}

impl Merit {
    /// The figure of merit of a language model.
    pub fn bits_per_byte() -> Self {
        Self {
            name: "validation bits per byte".to_owned(),
            goal: Goal::Lower,
        }
    }

    /// Its value in an evaluation.
    pub fn of(&self, eval: &EvalMetrics) -> f64 {
        eval.bits_per_byte
    }
}
