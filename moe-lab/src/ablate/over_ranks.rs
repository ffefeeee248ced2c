//! The communication of a run whose experts are spread over ranks, in three numbers.

use crate::analyze::{Communication, CommunicationOptions};
use serde::{Deserialize, Serialize};

/// The communication of a run whose experts are spread over the ranks of one node, by an analysis of the validation part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OverRanks {
    /// Ranks a token.
    pub fan_out: f64,
    /// Bytes that a token sends in a dispatch, a row a rank of two bytes an element.
    pub bytes_token: f64,
    /// The load of the busiest rank over the mean.
    pub busiest_rank: f64,
}

impl OverRanks {
    /// Options of an analysis that counts so many ranks.
    pub(super) fn options(n_ranks: usize) -> CommunicationOptions {
        CommunicationOptions {
            worlds: vec![n_ranks],
            per_node: n_ranks,
            element_bytes: 2,
            tokens_per_rank: None,
            links: None,
            flops: None,
        }
    }

    /// The mean over layers; `None` where the ranks do not divide the experts.
    pub(super) fn of(found: &Communication) -> Option<Self> {
        let mean = &found.worlds.first()?.mean;
        Some(Self {
            fan_out: mean.ranks_per_token,
            bytes_token: mean.by_rank.bytes_token(),
            busiest_rank: mean.busiest_rank,
        })
    }
}
