//! Benchmarks of the workbench.

pub mod train;
