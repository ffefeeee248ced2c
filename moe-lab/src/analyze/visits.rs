//! Visits of tokens to experts.

use moe_router::{Plan, Routing, to_vec};

/// A token at an expert that computed it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Visit {
    pub(super) token: usize,
    pub(super) expert: usize,
    /// 1 for an assignment; of a soft plan, the mass with which the token combines the expert's slots.
    pub(super) mass: f64,
}

/// All visits of a routing; dropped assignments are none.
pub(super) fn visits(routing: &Routing) -> Vec<Visit> {
    match &routing.plan {
        Plan::Sparse(plan) => {
            let a = &plan.assignments;
            let visit = |n: usize| Visit {
                token: a.tokens()[n] as usize,
                expert: a.experts()[n] as usize,
                mass: 1.0,
            };
            (0..a.len()).filter(|&n| a.kept()[n]).map(visit).collect()
        }
        Plan::Soft(plan) => {
            let n_experts = routing.n_experts();
            let n_slots = plan.combine.dims()[2];
            let combine = to_vec(plan.combine.clone().detach());
            let of_expert = combine.chunks(n_slots / n_experts).enumerate();
            let visit = |(i, slots): (usize, &[f32])| Visit {
                token: i / n_experts,
                expert: i % n_experts,
                mass: slots.iter().map(|&mass| f64::from(mass)).sum(),
            };
            of_expert.map(visit).collect()
        }
    }
}
