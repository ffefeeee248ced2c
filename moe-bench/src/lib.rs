//! Benchmarks of the workbench.

pub mod attention;
pub mod machine;
pub mod model;
pub mod shapes;
pub mod timing;
pub mod train;
