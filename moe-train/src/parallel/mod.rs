//! A run that several processes make together, with the bits of one process.
//!
//! ```text
//! command    what rank 0 tells the others to do, in one row
//! follow     the other ranks: they do what they are told
//! gradients  sums over micro-batches, in an order that no number of ranks changes
//! shares     a rank's share of the experts and of their moments, and the whole again
//! ```
//!
//! The number of processes is no part of the question that a run answers. A step is the mean of
//! `train.accumulate` micro-batches, each routed by itself; ranks take whole micro-batches, so that capacity, balance
//! losses and noise see what they see in one process. Configuration, run folder and checkpoints know of no ranks:
//! any number of them goes on with what any number has begun.
//!
//! Rank 0 makes the run as a single process does, and says before each part that concerns all what comes next.

mod command;
mod follow;
mod gradients;
mod shares;

pub use command::RankError;
pub(crate) use command::{Command, Lead, Opening};
pub use follow::{dismiss, follow};
pub(crate) use gradients::{Part, reduce};
pub(crate) use shares::{cut_model, cut_moments, shared_out, whole_model, whole_moments};
