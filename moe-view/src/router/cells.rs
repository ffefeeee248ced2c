//! The assignments of a routing as cells, and their opacities.

use super::canvas::Look;
use moe_router::{Plan, Routing, to_vec};

/// One token at one expert.
pub(super) struct Cell {
    pub(super) token: usize,
    pub(super) expert: usize,
    pub(super) weight: f32,
    /// The addition to the expert's load.
    pub(super) load: f32,
    pub(super) kept: bool,
}

/// All assignments of a list, dropped ones included; of a map, the combine mass of each expert's slots.
pub(super) fn cells(routing: &Routing) -> Vec<Cell> {
    let n_experts = routing.n_experts();
    match &routing.plan {
        Plan::Sparse(plan) => {
            let a = &plan.assignments;
            let weights = to_vec(plan.weights.clone());
            let cell = |(n, weight)| Cell {
                token: a.tokens()[n] as usize,
                expert: a.experts()[n] as usize,
                weight,
                load: 1.0,
                kept: a.kept()[n],
            };
            weights.into_iter().enumerate().map(cell).collect()
        }
        Plan::Soft(plan) => {
            let n_slots = plan.combine.dims()[2];
            let weights = to_vec(plan.combine.clone());
            let slots = weights.chunks(n_slots / n_experts).enumerate();
            let cell = |(i, slots): (usize, &[f32])| {
                let mass = slots.iter().sum();
                Cell {
                    token: i / n_experts,
                    expert: i % n_experts,
                    weight: mass,
                    load: mass,
                    kept: true,
                }
            };
            slots.map(cell).collect()
        }
    }
}

/// A scale from weights to opacities, from 10 to 100 per cent in steps of 5.
pub(super) struct OpacityScale {
    low: f32,
    high: f32,
}

impl OpacityScale {
    pub(super) fn of(routing: &Routing, cells: &[Cell]) -> Self {
        let weights = || cells.iter().filter(|c| c.kept).map(|c| c.weight);
        let low = match routing.plan {
            Plan::Sparse(_) => 0.0,
            Plan::Soft(_) => weights().fold(f32::INFINITY, f32::min),
        };
        let high = weights().fold(low, f32::max);
        Self { low, high }
    }

    pub(super) fn look(&self, weight: f32) -> Look {
        let share = (weight - self.low) / (self.high - self.low).max(f32::MIN_POSITIVE);
        Look::Filled(10 + 5 * (18.0 * share.clamp(0.0, 1.0)).round() as u8)
    }

    pub(super) fn text(&self) -> String {
        match self.low {
            0.0 => format!("largest weight {:.2}", self.high),
            low => format!("weights from {low:.2} to {:.2}", self.high),
        }
    }
}
