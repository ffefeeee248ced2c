//! Ranks that are processes of MPI (MPI Forum, MPI 3.1), through the crate `mpi`.

use crate::Communicator;
use mpi::datatype::PartitionMut;
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
        let (own, size) = (self.rank(), self.size());
        assert_eq!(parts.len(), size, "exchange: one part for each rank");
        let own_part = mem::take(&mut parts[own]);
        let sent: Vec<i32> = parts.iter().map(|part| count(part.len())).collect();
        let mut counts = vec![0i32; size];
        self.group.all_to_all_into(&sent[..], &mut counts[..]);
        let mut received: Vec<Vec<u8>> = counts.iter().map(|&n| vec![0u8; n as usize]).collect();
        // from rank to rank and not by one collective call, which wants all parts in one piece of memory
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
                let to = (own + step) % size;
                if !parts[to].is_empty() {
                    self.group.process_at_rank(to as i32).send(&parts[to][..]);
                }
            }
            arrivals.into_iter().for_each(|arrival| _ = arrival.wait());
        });
        received[own] = own_part;
        received
    }

    fn gather(&self, mine: &[u8]) -> Vec<Vec<u8>> {
        let mut counts = vec![0i32; self.size()];
        self.group
            .all_gather_into(&count(mine.len()), &mut counts[..]);
        let mut bytes = buffer(vec![0u8; total(&counts)]);
        let to = starts(&counts);
        let mine = buffer(mine.to_vec());
        self.group.all_gather_varcount_into(
            &mine[..],
            &mut PartitionMut::new(&mut bytes[..], &counts[..], &to[..]),
        );
        cut(&bytes, &counts)
    }

    fn split(&self, color: usize) -> Arc<dyn Communicator> {
        let group = self.group.split_by_color(Color::with_value(color as i32));
        Arc::new(Self {
            group: group.expect("a rank with a color is in a group"),
            universe: self.universe.clone(),
        })
    }
}

/// Bytes with an address of their own. That of a vector without memory is 1, which OpenMPI takes for `MPI_IN_PLACE`.
fn buffer(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reserve(1);
    bytes
}

/// Bytes as a count of MPI.
fn count(bytes: usize) -> i32 {
    i32::try_from(bytes)
        .expect("a rank sends at most 2 GiB to another at a time: take smaller micro-batches")
}

fn total(counts: &[i32]) -> usize {
    let all: i64 = counts.iter().map(|&n| i64::from(n)).sum();
    assert!(
        all <= i64::from(i32::MAX),
        "a rank receives at most 2 GiB at a time: take smaller micro-batches"
    );
    all as usize
}

/// The place of each part among all.
fn starts(counts: &[i32]) -> Vec<i32> {
    let place = |at: &mut i32, &n: &i32| {
        let start = *at;
        *at += n;
        Some(start)
    };
    counts.iter().scan(0, place).collect()
}

fn cut(bytes: &[u8], counts: &[i32]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let part = |&n: &i32| {
        let (part, after) = rest.split_at(n as usize);
        rest = after;
        part.to_vec()
    };
    counts.iter().map(part).collect()
}
