//! Run folders to an answer: paired statistics, ablations and claims, analyses of routing, audits of causality,
//! and reports.
//!
//! [moe-train]: moe_train
//! [moe-view]: ../moe_view/index.html
#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod ablate;
pub mod agree;
pub mod analyze;
pub mod audit;
mod logged;
pub mod matching;
pub mod program;
pub mod report;
pub mod results;
pub mod runs;
pub mod score;
pub mod stats;
pub mod trace;

pub use logged::MetricLines;
