//! Benchmarks of the workbench.

pub mod attention;
pub mod train;
