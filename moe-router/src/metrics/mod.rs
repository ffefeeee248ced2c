//! Routing metrics, one a file: plain functions of a [`Load`](crate::Load) or a
//! [`Routing`](crate::Routing). An expert's share of the load is
//! [`Load::share`](crate::Load::share).
//!
//! Balance is that of what experts were asked for; [`drop_rate`] says how much of it was not computed. [`fan_out`] and
//! [`Placement`] are of expert parallelism: what travels between ranks that hold the experts.

mod cv;
mod dead_experts;
mod drop_rate;
mod entropy;
mod fan_out;
mod max_vio;
mod mean_k;
mod mutual_information;
mod placement;

pub use cv::cv;
pub use dead_experts::dead_experts;
pub use drop_rate::drop_rate;
pub use entropy::{entropy, load_entropy};
pub use fan_out::{Convention, FanOut, Flow, Sent, fan_out};
pub use max_vio::max_vio;
pub use mean_k::mean_k;
pub use mutual_information::{LabelCounts, mutual_information};
pub use placement::{Placement, PlacementError};
