//! Data, training, evaluation and ablation of mixture-of-experts models.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod ablate;
pub mod analyze;
pub mod audit;
pub mod config;
pub mod data;
pub mod draw;
pub mod report;
pub mod resolve;
pub mod run;
pub mod stats;
pub mod task;
pub mod verify;
