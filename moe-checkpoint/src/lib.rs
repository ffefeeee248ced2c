//! Published checkpoints: their own layouts and configurations, and the numbers that their reference
//! implementations compute.
//!
//! [moe-models]: moe_models
//! [moe-cli]: ../moe_cli/index.html
#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod disk;
mod files;
pub mod gguf;
mod guard;
pub mod memory;
mod pointer;
pub mod published;
pub mod trace;
pub mod verify;

pub use files::*;
pub use guard::{guarded, is_guarded};
