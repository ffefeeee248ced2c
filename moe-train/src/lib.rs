//! A file to a run folder: data, configuration, training and evaluation of mixture-of-experts models.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod config;
pub mod data;
pub mod resolve;
pub mod run;
pub mod task;
