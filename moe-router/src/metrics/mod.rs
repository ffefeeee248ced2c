//! Routing metrics, one a file: plain functions of a [`Load`](crate::Load) or a
//! [`Routing`](crate::Routing).

mod dead_experts;
mod drop_rate;
mod entropy;
mod max_vio;

pub use dead_experts::dead_experts;
pub use drop_rate::drop_rate;
pub use entropy::{entropy, load_entropy};
pub use max_vio::max_vio;
