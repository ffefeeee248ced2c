//! The arrangement of ranks: who holds the same experts.

use crate::{Communicator, One};
use std::sync::Arc;
use thiserror::Error;

/// The ranks of a run as replicas of groups that share experts out among themselves.
///
/// Rank `r` is place `r mod EP` in replica `r div EP`: ranks of one replica are neighbours, so a host holds whole
/// replicas as far as it can. With `EP = 1` every rank holds all experts.
#[derive(Debug, Clone)]
pub struct Mesh {
    /// All ranks.
    pub world: Arc<dyn Communicator>,
    /// The ranks of this replica, among which experts are shared out.
    pub experts: Arc<dyn Communicator>,
    /// The ranks that hold the same experts as this one.
    pub replicas: Arc<dyn Communicator>,
}

/// Numbers of ranks that do not fit together, or that do not fit a run.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum MeshError {
    /// The number of ranks is no power of two.
    #[error(
        "{world} processes: their number must be a power of two, so that sums have one order whatever it is"
    )]
    Uneven {
        /// The number of ranks.
        world: usize,
    },
    /// The ranks do not divide into groups that share experts out.
    #[error("--expert-parallel {experts} does not divide {world} processes into equal groups")]
    Groups {
        /// The number of ranks.
        world: usize,
        /// Ranks among which experts are shared out.
        experts: usize,
    },
    /// The micro-batches of a step cannot be dealt out evenly.
    #[error(
        "{world} processes cannot share {accumulate} micro-batches out evenly: \
         set train.accumulate to a multiple of {world}, or start fewer processes"
    )]
    MicroBatches {
        /// The number of ranks.
        world: usize,
        /// Micro-batches of a step.
        accumulate: usize,
    },
    /// The experts of a layer cannot be shared out evenly.
    #[error(
        "--expert-parallel {experts} does not divide experts.n_experts = {n_experts} into equal shares"
    )]
    Experts {
        /// Ranks among which experts are shared out.
        experts: usize,
        /// Experts of a layer.
        n_experts: usize,
    },
}

impl Default for Mesh {
    fn default() -> Self {
        Self::one()
    }
}

impl Mesh {
    /// The mesh of one process.
    pub fn one() -> Self {
        Self {
            world: Arc::new(One),
            experts: Arc::new(One),
            replicas: Arc::new(One),
        }
    }

    /// Arranges ranks such that each replica has `experts` of them. All ranks call it.
    ///
    /// # Errors
    ///
    /// If the number of ranks is no power of two, or if `experts` does not divide it.
    pub fn new(world: Arc<dyn Communicator>, experts: usize) -> Result<Self, MeshError> {
        let size = world.size();
        if !size.is_power_of_two() {
            return Err(MeshError::Uneven { world: size });
        }
        if experts == 0 || !size.is_multiple_of(experts) {
            return Err(MeshError::Groups {
                world: size,
                experts,
            });
        }
        let rank = world.rank();
        Ok(Self {
            experts: world.split(rank / experts),
            replicas: world.split(rank % experts),
            world,
        })
    }

    /// Checks that a run's micro-batches and experts can be shared out.
    ///
    /// # Errors
    ///
    /// What cannot be, and what to do.
    pub fn check(&self, accumulate: usize, n_experts: usize) -> Result<(), MeshError> {
        let (world, experts) = (self.world.size(), self.experts.size());
        if !accumulate.is_multiple_of(world) {
            return Err(MeshError::MicroBatches { world, accumulate });
        }
        if !n_experts.is_multiple_of(experts) {
            return Err(MeshError::Experts { experts, n_experts });
        }
        Ok(())
    }

    /// Tells whether there are other ranks.
    pub fn is_shared(&self) -> bool {
        self.world.size() > 1
    }

    /// Tells whether this is the rank that reads commands and writes files.
    pub fn is_root(&self) -> bool {
        self.world.rank() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Threads;

    #[test]
    fn neighbours_share_experts_out() {
        let places = Threads::run(8, |world| {
            let mesh = Mesh::new(world, 2).expect("2 divides 8");
            let [experts, replicas] = [&mesh.experts, &mesh.replicas];
            [
                experts.rank(),
                experts.size(),
                replicas.rank(),
                replicas.size(),
            ]
        });
        // rank 5 is place 1 of replica 2
        assert_eq!(places[5], [1, 2, 2, 4]);
        assert_eq!(places[0], [0, 2, 0, 4]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let errors = Threads::run(4, |world| {
            let bad = Mesh::new(world.clone(), 3).map(|_| ());
            let mesh = Mesh::new(world, 4).expect("4 divides 4");
            let check = [mesh.check(6, 8), mesh.check(4, 6), mesh.check(8, 8)];
            (bad, check)
        });
        let (bad, [micro, experts, fine]) = errors[3].clone();
        let names = |error: Result<(), MeshError>| {
            error.map_or_else(|error| error.to_string(), |()| "fine".into())
        };
        assert!(names(bad).starts_with("--expert-parallel 3 does not divide 4 processes"));
        assert!(names(micro).contains("set train.accumulate to a multiple of 4"));
        assert!(names(experts).contains("experts.n_experts = 6"));
        assert_eq!(names(fine), "fine");
        let uneven = Threads::run(3, |world| Mesh::new(world, 1).map(|_| ()));
        assert_eq!(uneven[0], Err(MeshError::Uneven { world: 3 }));
    }
}
