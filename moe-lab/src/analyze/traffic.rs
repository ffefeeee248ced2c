//! What travels for a token in a layer of experts.

use serde::Serialize;

/// The communication of a layer, or the mean of several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traffic {
    /// Ranks a token.
    pub ranks_per_token: f64,
    /// Nodes a token.
    pub nodes_per_token: f64,
    /// The load of the busiest rank over the mean.
    pub busiest_rank: f64,
    /// A row for each assignment.
    pub by_assignment: Volume,
    /// A row for each rank of a token.
    pub by_rank: Volume,
    /// A row for each node of a token, copied on inside.
    pub by_node: Volume,
}

/// The volume of dispatch by a convention; that of combine is the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Volume {
    /// Rows a token between ranks of a node.
    pub rows_inside: f64,
    /// Rows a token between nodes.
    pub rows_between: f64,
    /// Bytes a token between ranks of a node.
    pub bytes_inside: f64,
    /// Bytes a token between nodes.
    pub bytes_between: f64,
    /// Seconds of a dispatch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The share of the exchanges in a training step, in \[0, 1\], if nothing else is done meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

impl Volume {
    /// Bytes a token, inside nodes and between them.
    pub fn bytes_token(&self) -> f64 {
        self.bytes_inside + self.bytes_between
    }
}

impl Traffic {
    /// The mean over layers.
    pub(super) fn mean(layers: &[Self]) -> Self {
        let mean = |of: &dyn Fn(&Self) -> f64| {
            layers.iter().map(of).sum::<f64>() / layers.len().max(1) as f64
        };
        let volume = |of: fn(&Self) -> &Volume| Volume {
            rows_inside: mean(&|layer| of(layer).rows_inside),
            rows_between: mean(&|layer| of(layer).rows_between),
            bytes_inside: mean(&|layer| of(layer).bytes_inside),
            bytes_between: mean(&|layer| of(layer).bytes_between),
            seconds: layers
                .iter()
                .all(|layer| of(layer).seconds.is_some())
                .then(|| mean(&|layer| of(layer).seconds.unwrap_or(0.0))),
            share: None,
        };
        Self {
            ranks_per_token: mean(&|layer| layer.ranks_per_token),
            nodes_per_token: mean(&|layer| layer.nodes_per_token),
            busiest_rank: mean(&|layer| layer.busiest_rank),
            by_assignment: volume(|layer| &layer.by_assignment),
            by_rank: volume(|layer| &layer.by_rank),
            by_node: volume(|layer| &layer.by_node),
        }
    }
}
