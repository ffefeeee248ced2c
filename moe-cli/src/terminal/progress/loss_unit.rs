//! The unit that the loss of training is shown in.

use moe_train::task::TaskSummary;
use std::f64::consts::LN_2;

/// The unit that the loss of training is shown in.
#[derive(Debug, Clone, Copy)]
pub(super) struct LossUnit {
    pub(super) name: &'static str,
    pub(super) per_nat: f64,
}

impl LossUnit {
    pub(super) const NATS_PER_TOKEN: Self = Self {
        name: "nats/token",
        per_nat: 1.0,
    };

    /// Bits a byte where each token is a byte, so that the loss is in the unit of the score.
    pub(super) fn of(data: &TaskSummary) -> Self {
        match data {
            TaskSummary::Text(text) if text.total().bytes == text.total().tokens => Self {
                name: "bits/byte",
                per_nat: 1.0 / LN_2,
            },
            TaskSummary::Text(_) => Self::NATS_PER_TOKEN,
            TaskSummary::Images(_) => Self {
                name: "nats/image",
                per_nat: 1.0,
            },
        }
    }
}
