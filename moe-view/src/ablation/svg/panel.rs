//! The panels of the figure: which there are, which are drawn, and which direction is better in each.

use super::values;
use crate::ablation::cells::score_title;
use crate::svg::Origin;
use moe_lab::ablate::AblationReport;
use moe_lab::ablate::Metric;
use moe_lab::stats::Goal;
use moe_train::task::Merit;

/// A number of each arm that the figure can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    /// The score that arms are compared by: the loss, or the accuracy of a classifier.
    Loss,
    /// Experts without any token.
    DeadExperts,
    /// The largest load over the mean, minus one.
    MaxVio,
    /// Ranks a token, of experts that are spread over ranks.
    FanOut,
    /// Bytes that a token sends to them.
    BytesToken,
    /// The load of the busiest of them over the mean.
    BusiestRank,
}

impl Panel {
    /// All panels, from left to right.
    pub const ALL: [Self; 6] = [
        Self::Loss,
        Self::DeadExperts,
        Self::MaxVio,
        Self::FanOut,
        Self::BytesToken,
        Self::BusiestRank,
    ];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::DeadExperts => "dead_experts",
            Self::MaxVio => "max_vio",
            Self::FanOut => "fan_out",
            Self::BytesToken => "bytes_token",
            Self::BusiestRank => "busiest_rank",
        }
    }

    pub(super) fn metric(self, report: &AblationReport) -> Metric {
        match self {
            Self::Loss if report.merit == Merit::Accuracy => Metric::Accuracy,
            Self::Loss => Metric::Loss,
            Self::DeadExperts => Metric::DeadExperts,
            Self::MaxVio => Metric::MaxVio,
            Self::FanOut => Metric::FanOut,
            Self::BytesToken => Metric::BytesToken,
            Self::BusiestRank => Metric::BusiestRank,
        }
    }

    pub(super) fn title(self, report: &AblationReport) -> String {
        let fixed = match self {
            Self::Loss => return score_title(report),
            Self::DeadExperts => "dead experts (of a layer)",
            Self::MaxVio => "MaxVio (max load / mean - 1)",
            Self::FanOut => "ranks a token",
            Self::BytesToken => "bytes a token sends",
            Self::BusiestRank => "busiest rank (load / mean)",
        };
        fixed.to_owned()
    }

    /// The better direction, as an arrow along the axis of the rows.
    pub(super) fn direction(self, report: &AblationReport) -> &'static str {
        if self == Self::Loss && report.goal == Goal::Higher {
            "higher is better \u{2192}"
        } else {
            "\u{2190} lower is better"
        }
    }

    pub(super) fn origin(self) -> Origin {
        if self == Self::Loss {
            Origin::Data
        } else {
            Origin::Zero
        }
    }

    /// Tells whether there is something to see: two different values.
    fn varies(self, report: &AblationReport) -> bool {
        let metric = self.metric(report);
        let values: Vec<f64> = report
            .arms
            .iter()
            .flat_map(|arm| values(arm, metric))
            .collect();
        values.iter().any(|value| *value != values[0])
    }

    /// The panels that are asked for, in their order; if none are, the loss and what varies.
    pub(super) fn chosen(asked: &[Self], report: &AblationReport) -> Vec<Self> {
        let is_drawn = |panel: &Self| {
            if asked.is_empty() {
                *panel == Self::Loss || panel.varies(report)
            } else {
                asked.contains(panel)
            }
        };
        Self::ALL.into_iter().filter(is_drawn).collect()
    }
}
