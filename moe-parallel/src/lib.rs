//! Processes that train one model together.
//!
//! Ranks pass bytes through a [`Communicator`]; everything above it is a function of that: broadcasts, sums in one
//! order ([`sum_in_order`]), work dealt out ([`deal`]), and the [`Mesh`] that says which ranks hold the same
//! experts. The crate knows of bytes, counts and ranks, and of no tensor.
//!
//! | engine | ranks are | for |
//! | --- | --- | --- |
//! | [`One`] | the only one | every program that is not told otherwise |
//! | [`Threads`] | threads of one process | tests, laws, and trying it out without MPI |
//! | `Mpi` (feature `mpi`) | processes, on any number of hosts | real work |
//!
//! A rank that ends while others wait for it ends them too: with an error that names it among threads, by the
//! runtime's own means under MPI.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![deny(unsafe_code)]

mod collective;
mod communicator;
mod mesh;
#[cfg(feature = "mpi")]
mod mpi;
mod threads;
mod tree;
mod watched;

pub use collective::{broadcast, deal, gather_values, sum_in_order};
pub use communicator::{Communicator, One};
pub use mesh::{Mesh, MeshError};
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub use threads::Threads;
pub use tree::{Add, TreeSum};
pub use watched::Watched;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
