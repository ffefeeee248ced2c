//! Expert banks, dispatch and combine, and the mixture-of-experts layer.
//!
//! Axis legend: T tokens, D model width, E experts, K experts a token, C capacity, A assignments,
//! N rows (kept assignments), S slots, F expert hidden width.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![deny(unsafe_code)]

mod account;
mod activation;
mod device_rows;
mod exchange;
mod experts;
mod grouped;
#[cfg(feature = "laws")]
pub mod laws;
mod layer;
mod plan;
pub mod profile;
pub mod reference;
pub mod spread;

pub use activation::Activation;
pub use exchange::Exchange;
pub use experts::{Biases, Dispatch, Experts, ExpertsConfig};
pub use grouped::{ExpertBiases, ExpertWeights, grouped_matmul, moe_ffn};
pub use layer::{MoeLayer, MoeLayerConfig, MoeOutput, RoutedMoeLayerConfig};
pub use plan::RowPlan;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
