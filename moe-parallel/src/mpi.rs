//! Ranks that are processes of MPI (MPI Forum, MPI 3.1), through the crate `mpi`.

use crate::Communicator;
use mpi::environment::Universe;
use mpi::topology::{Color, Communicator as _, SimpleCommunicator};
use mpi::traits::{CommunicatorCollectives, Destination, Source};
use std::fmt;
use std::mem;
use std::sync::Arc;

/// A rank among processes that `mpirun` or `srun` has started.
///
/// The runtime's own error handler stays in force: a process that dies ends all. Calls of one group come from one
/// thread at a time.
pub struct Mpi {
    group: SimpleCommunicator,
    /// MPI ends with the last group.
    universe: Arc<Universe>,
}

// The one way to share a communicator among the modules of a model, which lives on one thread.
#[allow(unsafe_code)]
mod shared {
    use super::Mpi;

    // SAFETY: MPI is started with the level of threads `Serialized` and refused below it, and calls of a group come
    // from the thread that trains alone.
    unsafe impl Send for Mpi {}
    // SAFETY: as above; a handle of a communicator is an address or a number that no call changes.
    unsafe impl Sync for Mpi {}
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mpi({} of {})", self.group.rank(), self.group.size())
    }
}

impl Mpi {
    /// Starts MPI, once a process; nothing if it has been started, or if it has no support for threads.
    pub fn start() -> Option<Self> {
        let (universe, threading) = mpi::initialize_with_threading(mpi::Threading::Serialized)?;
        (threading >= mpi::Threading::Serialized).then(|| Self {
            group: universe.world(),
            universe: Arc::new(universe),
        })
    }

    /// Sends `parts[r]` to rank `r`, and returns what each rank has sent here, with `own` at the place of this rank,
    /// whose part is empty.
    ///
    /// Bytes go from rank to rank and not by one collective call, which wants all parts in one piece of memory.
    fn pass(&self, parts: &[&[u8]], own: Vec<u8>) -> Vec<Vec<u8>> {
        let (rank, size) = (self.rank(), self.size());
        let sent: Vec<i32> = parts.iter().map(|part| count(part.len())).collect();
        let mut counts = vec![0i32; size];
        self.group.all_to_all_into(&sent[..], &mut counts[..]);
        let mut received: Vec<Vec<u8>> = counts.iter().map(|&n| vec![0u8; n as usize]).collect();
        mpi::request::scope(|scope| {
            let arrivals: Vec<_> = (0..)
                .zip(&mut received)
                .filter(|(_, part)| !part.is_empty())
                .map(|(rank, part)| {
                    let sender = self.group.process_at_rank(rank);
                    sender.immediate_receive_into(scope, &mut part[..])
                })
                .collect();
            for step in 1..size {
                let to = (rank + step) % size;
                if !parts[to].is_empty() {
                    self.group.process_at_rank(to as i32).send(parts[to]);
                }
            }
            arrivals.into_iter().for_each(|arrival| _ = arrival.wait());
        });
        received[rank] = own;
        received
    }
}

impl Communicator for Mpi {
    fn engine(&self) -> &'static str {
        "mpi"
    }

    fn rank(&self) -> usize {
        self.group.rank() as usize
    }

    fn size(&self) -> usize {
        self.group.size() as usize
    }

    fn exchange(&self, mut parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        assert_eq!(parts.len(), self.size(), "exchange: one part for each rank");
        let own = mem::take(&mut parts[self.rank()]);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        self.pass(&parts, own)
    }

    fn gather(&self, mine: &[u8]) -> Vec<Vec<u8>> {
        let mut parts = vec![mine; self.size()];
        parts[self.rank()] = &[];
        self.pass(&parts, mine.to_vec())
    }

    fn split(&self, color: usize) -> Arc<dyn Communicator> {
        let group = self.group.split_by_color(Color::with_value(color as i32));
        Arc::new(Self {
            group: group.expect("a rank with a color is in a group"),
            universe: self.universe.clone(),
        })
    }
}

/// Bytes as a count of MPI.
fn count(bytes: usize) -> i32 {
    i32::try_from(bytes)
        .expect("a rank sends at most 2 GiB to another at a time: take smaller micro-batches")
}
