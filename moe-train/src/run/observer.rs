use super::{EvalMetrics, StepMetrics};
use crate::task::TaskSummary;
use moe_models::Account;
use std::path::Path;

/// Something that happened in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// The run starts, or goes on.
    Started {
        /// The run folder.
        folder: &'a Path,
        /// The data.
        data: &'a TaskSummary,
        /// The model's size and cost.
        account: &'a Account,
        /// The number of steps in all.
        total_steps: u64,
        /// The step after which it goes on, if it does.
        resumed_at: Option<u64>,
    },
    /// An optimizer step was made.
    Step(&'a StepMetrics),
    /// An evaluation was made.
    Evaluated(&'a EvalMetrics),
    /// A checkpoint was saved.
    Saved {
        /// The step after which it was.
        step: u64,
        /// Its folder.
        path: &'a Path,
    },
}

/// Is told what happens in a run.
pub trait Observer {
    /// Takes notice of an event.
    fn on(&mut self, event: Event<'_>);
}

/// An observer that takes no notice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&mut self, _event: Event<'_>) {}
}
