//! Routers for mixture-of-experts models: tokens in, a [`Routing`] value out.
//!
//! A [`Router`] decides which token goes to which expert with which weight, and nothing else. What it
//! returns is a plain value; experts, losses, metrics and figures consume that value:
//!
//! ```text
//! tokens [T, D] --Router--> Routing --> experts, balance losses, metrics
//! ```
//!
//! # Axes
//!
//! Inside routing and dispatch functions a local's suffix spells its shape:
//!
//! ```text
//! T = tokens (all sequences of the batch, one after the other)   D = model width
//! G = groups (sequences or images); a router never mixes two     M = tokens of a group, T = G * M
//! E = experts         K = experts a token    C = capacity (tokens an expert takes from a group)
//! A = assignments     S = slots              F = hidden width of an expert
//! ```
//!
//! # Example
//!
//! ```
//! use burn::tensor::{Device, Distribution, Tensor};
//! use moe_router::{Preset, Router, RouterInput, RouterShape};
//! use moe_router::zoo::{MixtralRouterConfig};
//!
//! let device = Device::flex();
//! let shape = RouterShape { d_model: 16, n_experts: 8, layer: 0 };
//! let router = MixtralRouterConfig { top_k: 2 }.init(&shape, &device);
//! let tokens = Tensor::random([32, 16], Distribution::Default, &device);
//!
//! let routing = router.route(RouterInput::new(tokens));
//! assert_eq!(routing.load().kept.iter().sum::<f64>(), 64.0); // 32 tokens, 2 experts each
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#[macro_use]
mod cpu;
#[macro_use]
mod registry;

pub mod balance;
#[cfg(feature = "laws")]
pub mod laws;
pub mod metrics;
pub mod parts;
pub mod reads;
pub mod zoo;

mod assignments;
mod error;
mod extras;
mod input;
mod keys;
mod load;
mod outside;
mod plan;
mod router;
mod routing;
mod tally;
mod token_choice;
mod trace;

pub use assignments::{Assignments, Places};
pub use balance::{BalanceConfig, LossTerm};
pub use error::{RouterError, check_top_k};
pub use extras::{Admission, Bypass, NoisyLogits, VectorMix};
pub use input::RouterInput;
pub use keys::RouterKey;
pub use load::Load;
pub use outside::{OutsideConfig, OutsideRouter, Registry, RegistryError};
pub use plan::{Plan, SoftPlan, SparsePlan};
pub use reads::to_vec;
pub use router::{Causality, Extra, Family, Preset, Router, RouterInfo, RouterShape};
pub use routing::Routing;
pub use tally::{Bins, Tally};
pub use token_choice::TokenChoice;
pub use trace::Trace;
pub use zoo::{AnyRouter, RouterConfig};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
