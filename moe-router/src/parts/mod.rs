//! The parts that routers are composed of.

mod affinity;
mod auction;
mod bias;
mod buffers;
mod capacity;
mod exp;
mod groups;
mod noise;
mod on_device;
mod pair;
mod score;
mod select;
mod softplus;
mod top_k;
mod top_k_rows;
mod transport;
mod weights;

pub use affinity::Affinity;
pub use auction::balanced_assignment;
pub use bias::{Bias, choice_bias, step_by_sign};
pub use buffers::{Buffers, Claims, FillOrder, Overflow, Priority};
pub use capacity::{Capacity, CapacityRounding, CapacityRule};
pub use exp::exp;
pub use groups::{ExpertGroups, GroupScore};
pub use noise::{Noise, jitter, mix_seed, standard_normal, uniform_below, uniform_unit};
pub use on_device::{positions_on_device, top_k_on_device};
pub use pair::{Pair, best_pair};
pub use score::Score;
pub use select::{Select, above, expert_choice, take_best, token_choice, top_p};
pub use softplus::softplus;
pub use top_k::{kth_largest, top_k, top_k_into};
pub use top_k_rows::top_k_of_rows;
pub use transport::balance_columns;
pub use weights::{Normalise, gather_weights, normalise_per_token};
