//! Checkpoints of vision models as google-research/vmoe released them: `PREFIX.index` and
//! `PREFIX.data-00000-of-0000N`, in MessagePack.
//!
//! ```text
//! index    {"version": "20220622", "shard_count": N, "index": tree of arrays}
//! array    shape, type, and for each chunk its ranges of the axes and the data file that it is in
//! data     {"0": [[[values, ...], ranges], ...], "7": ..., mark: true}
//! ```
//!
//! The number of an array is its place among all arrays of the tree, keys in order.

mod array;
mod data;
mod index;
mod msgpack;
mod vmoe;

pub use vmoe::ReleasedVmoe;
