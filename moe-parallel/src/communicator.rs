//! The seam between this project and an engine of processes.

use std::fmt::Debug;
use std::sync::Arc;

/// A group of ranks that pass bytes to each other.
///
/// All calls are collective: every rank of the group makes the same calls in the same order, also with nothing to
/// send. A call returns when this rank has what it waits for.
///
/// # Panics
///
/// A call panics, or ends the process, if a rank of the group has ended.
pub trait Communicator: Debug + Send + Sync {
    /// The engine's name, for reports.
    fn engine(&self) -> &'static str;

    /// The rank of the caller, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// Sends `parts[r]` to rank `r`, and returns what each rank has sent here, by rank (all-to-all).
    ///
    /// # Panics
    ///
    /// Panics if there is not one part for each rank.
    fn exchange(&self, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>>;

    /// Returns the bytes of all ranks, by rank (all-gather).
    fn gather(&self, mine: &[u8]) -> Vec<Vec<u8>>;

    /// Splits the group: ranks of one color become a group of their own, in the order of their ranks.
    fn split(&self, color: usize) -> Arc<dyn Communicator>;
}

/// The only rank: nothing is sent, nothing waits.
#[derive(Debug, Clone, Copy, Default)]
pub struct One;

impl Communicator for One {
    fn engine(&self) -> &'static str {
        "one"
    }

    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn exchange(&self, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        assert_eq!(parts.len(), 1, "exchange: one part for each rank");
        parts
    }

    fn gather(&self, mine: &[u8]) -> Vec<Vec<u8>> {
        vec![mine.to_vec()]
    }

    fn split(&self, _color: usize) -> Arc<dyn Communicator> {
        Arc::new(Self)
    }
}
