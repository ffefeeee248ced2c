//! Counts of a layer, of text and of images alike.

use super::companions::PairCounts;
use super::information::Chance;
use super::visits::Visit;
use super::{Companions, Domains};
use moe_router::metrics::LabelCounts;
use moe_router::{Plan, Routing};
use moe_train::run::{LayerMeter, LayerMetrics};
use serde::Serialize;

/// Counts of a layer's experts, of text and of images alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerAnalysis {
    /// The layer's name, such as `MoE layer 0`.
    pub name: String,
    /// Load, entropy, drops.
    pub routing: LayerMetrics,
    /// The number of tokens that each expert computed, `[E]`; of a soft plan, how much of them.
    pub computed: Vec<f64>,
    /// The number of experts, the last ones, that have no network.
    pub n_free: usize,
    /// The domains or classes of what each expert takes.
    pub domains: Domains,
    /// Experts that compute the same tokens; none where tokens have one expert each, and of a soft plan,
    /// in which all experts compute all.
    pub companions: Option<Companions>,
}

/// Counts of a layer over batches.
#[derive(Debug)]
pub(super) struct LayerCounts {
    meter: LayerMeter,
    n_free: usize,
    labels: LabelCounts,
    chance: Chance,
    pairs: PairCounts,
}

impl LayerCounts {
    /// Counts nothing yet of a layer that routes so.
    pub(super) fn like(routing: &Routing, n_labels: usize) -> Self {
        let n_experts = routing.n_experts();
        Self {
            meter: LayerMeter::default(),
            n_free: n_experts - routing.n_computed_experts(),
            labels: LabelCounts::new(n_experts, n_labels),
            chance: Chance::new(n_experts),
            pairs: PairCounts::new(n_experts),
        }
    }

    /// Adds a routing with its visits; a token without a label counts only in the load.
    pub(super) fn add(&mut self, routing: &Routing, visits: &[Visit], labels_t: &[Option<usize>]) {
        self.meter.add(routing);
        let mut experts_t: Vec<Vec<usize>> = vec![Vec::new(); labels_t.len()];
        let mut mass_t = vec![0.0; labels_t.len()];
        for visit in visits {
            let Some(label) = labels_t[visit.token] else {
                continue;
            };
            self.labels.counts[visit.expert][label] += visit.mass;
            self.chance.add(visit.expert, visit.mass);
            experts_t[visit.token].push(visit.expert);
            mass_t[visit.token] += visit.mass;
        }
        mass_t.iter().for_each(|mass| self.chance.add_token(*mass));
        if let Plan::Sparse(_) = routing.plan {
            experts_t.iter().for_each(|experts| self.pairs.add(experts));
        }
    }

    /// The sums that the information by chance follows from.
    pub(super) fn chance(&self) -> Chance {
        self.chance.clone()
    }

    pub(super) fn finish(self, name: String) -> LayerAnalysis {
        let sum = |row: &Vec<f64>| row.iter().sum();
        LayerAnalysis {
            name,
            routing: self.meter.metrics(),
            computed: self.labels.counts.iter().map(sum).collect(),
            n_free: self.n_free,
            domains: Domains::of(&self.labels, &self.chance),
            companions: self.pairs.companions(),
        }
    }
}
