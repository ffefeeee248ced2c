//! Attention for mixture-of-experts models on any Burn device.
//!
//! ```text
//! x [B,L,D] --query/key/value--> heads --rotary--> causal attention --output--> [B,L,D]
//!                                         |
//!                                         +--> KvCache, while generating
//! ```
//!
//! Axis legend, used by every module: B batch, L query length, S key length (cached tokens
//! included), D model width, H query heads, Hkv key/value heads, G = H / Hkv, Dh head width.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![deny(unsafe_code)]

// Without a kernel nobody reads what kernels need.
#[cfg_attr(not(feature = "flex"), allow(dead_code, unused_variables))]
mod backend;
mod cache;
mod causal;
mod error;
#[cfg(feature = "flex")]
mod flex;
mod gqa;
mod input;
mod mla;
mod positions;
mod projection;
mod relative;
mod rope;
mod t5;
#[cfg(test)]
mod testing;
mod yarn;

pub use cache::*;
pub use causal::*;
pub use error::*;
pub use gqa::*;
pub use input::*;
pub use mla::*;
pub use positions::*;
pub use relative::*;
pub use rope::*;
pub use t5::*;
pub use yarn::*;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
