//! The parts that routers are composed of.

mod capacity;
mod groups;
mod noise;
mod select;
mod top_k;
mod weights;

pub use capacity::{Capacity, drop_over_capacity};
pub use groups::{ExpertGroups, GroupScore};
pub use noise::{mix_seed, standard_normal, uniform_below, uniform_noise};
pub use select::token_choice;
pub use top_k::{kth_largest, top_k, top_k_into};
pub use weights::{gather_weights, normalise_per_token};
