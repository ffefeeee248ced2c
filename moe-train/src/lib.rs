//! A file to a run folder: data, configuration, training and evaluation of mixture-of-experts models.
//!
//! [moe-models]: moe_models
//! [moe-checkpoint]: moe_checkpoint
//! [moe-lab]: ../moe_lab/index.html
//! [moe-cli]: ../moe_cli/index.html
#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod config;
pub mod data;
pub mod parallel;
pub mod resolve;
pub mod run;
pub mod task;
