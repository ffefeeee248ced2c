//! Events that a run tells while it goes on.

use super::{EvalMetrics, StepMetrics};
use crate::data::DataConfig;
use crate::task::{Merit, TaskSummary};
use moe_models::Account;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something that happened in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// A run that is not finished was asked for.
    Opened {
        /// The run folder.
        folder: &'a Path,
    },
    /// Runs that other processes train are waited for.
    Waiting {
        /// The number of such runs.
        runs: usize,
    },
    /// The data is read, which may take long.
    Loading {
        /// The data.
        data: &'a DataConfig,
        /// The size of the vocabulary that is learned from it, if one is.
        vocab_size: Option<usize>,
    },
    /// The run starts, or goes on.
    Started {
        /// The data.
        data: &'a TaskSummary,
        /// The model's size and cost.
        account: &'a Account,
        /// The number of steps in all.
        total_steps: u64,
        /// The step after which it goes on, if it does.
        resumed_at: Option<u64>,
        /// The windows, images or pairs of the validation part that the last evaluation scores, at most.
        final_windows: usize,
        /// Windows, images or pairs of the validation part.
        all_windows: usize,
    },
    /// An optimizer step was made.
    Step(&'a StepMetrics),
    /// An evaluation goes on.
    Evaluating {
        /// The windows, images or pairs that were scored.
        done: usize,
        /// Windows, images or pairs that will be.
        of: usize,
    },
    /// An evaluation was made.
    Evaluated(&'a EvalMetrics),
    /// A checkpoint was saved.
    Saved {
        /// The step after which it was.
        step: u64,
        /// Its folder.
        path: &'a Path,
    },
    /// One of several runs is finished.
    Finished {
        /// The run folder.
        folder: &'a Path,
        /// The score of its last evaluation.
        score: f64,
        /// The meaning of the score.
        merit: Merit,
        /// Seconds of training.
        wall_s: f64,
    },
}

/// Receiver of the events of a run.
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

/// An observer of work that takes long, and the flag that ends it.
pub struct Watch<'a> {
    /// Receiver of its events.
    pub observer: &'a mut dyn Observer,
    /// Ends it once it is true.
    pub stop: &'a AtomicBool,
}

impl Watch<'_> {
    /// Looks at the flag.
    pub(super) fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Reports the progress of an evaluation; `None` if it is to stop.
    pub(super) fn evaluating(&mut self, done: usize, of: usize) -> Option<()> {
        if self.stops() {
            return None;
        }
        self.observer.on(Event::Evaluating { done, of });
        Some(())
    }
}
