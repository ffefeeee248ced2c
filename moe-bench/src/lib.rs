//! Benchmarks of the workbench.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod attention;
pub mod changes;
pub mod compare;
pub mod contest;
pub mod count;
pub mod dense;
pub mod dispatch;
pub mod exchange;
pub mod layer;
mod layer_table;
pub mod machine;
pub mod memory;
pub mod model;
pub mod pass;
pub mod peer;
pub mod profile;
pub mod routing;
pub mod shapes;
pub mod suite;
mod table;
pub mod timing;
pub mod train;
pub mod workloads;
