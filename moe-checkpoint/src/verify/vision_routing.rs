//! Routings of a vision model, and the losses of each group of tokens.

use super::checker::{Checker, scalar};
use super::forward::LOSS;
use super::quantity::Tolerance;
use super::vision::Tolerances;
use crate::published::{PublishedVmoeExperts, PublishedVmoeRouter};
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor, TensorData};
use moe_router::balance::{first_choice, vmoe_importance, vmoe_load};
use moe_router::{Assignments, NoisyLogits, Plan, Routing, SoftPlan, to_vec};

/// Compares scores, maps and losses of a mixture; `name` makes a golden's name.
pub(super) fn check_routing(
    checker: &mut Checker<'_>,
    name: impl Fn(&str) -> String,
    moe: &PublishedVmoeExperts,
    routing: &Routing,
    tolerances: &Tolerances,
) {
    match &routing.plan {
        Plan::Soft(plan) => check_soft(checker, &name, moe, plan, tolerances.states),
        Plan::Sparse(_) => check_sparse(checker, &name, moe, routing, tolerances),
    }
    let (n_groups, tolerance) = (routing.n_groups, LOSS.times(tolerances.looser));
    let PublishedVmoeRouter::NoisyTopExpertsPerItemRouter { .. } = moe.router else {
        // these have none, and say so once for all groups
        checker.floats(&name("auxiliary_loss"), &[1], &[0.0], tolerance);
        return;
    };
    let groups: Vec<GroupLosses> = (0..n_groups)
        .map(|group| GroupLosses::of(&of_group(routing, group)))
        .collect();
    let mut compare = |what: &str, loss: &dyn Fn(&GroupLosses) -> Tensor<1>| {
        let losses: Vec<f32> = groups.iter().map(|group| scalar(loss(group))).collect();
        checker.floats(&name(what), &[n_groups], &losses, tolerance);
    };
    compare("importance_loss", &|group| group.importance.clone());
    compare("gshard_loss", &|group| group.gshard.clone());
    if routing.noisy.is_some() {
        compare("load_loss", &|group| group.load.clone());
    }
    compare("auxiliary_loss", &|group| group.auxiliary(&moe.router));
}

/// The losses of V-MoE's router over the groups of a routing, `[1]` each.
pub(super) struct GroupLosses {
    importance: Tensor<1>,
    load: Tensor<1>,
    gshard: Tensor<1>,
}

impl GroupLosses {
    pub(super) fn of(routing: &Routing) -> Self {
        // GShard's loss is over the gates that decided
        let mut gates = routing.clone();
        if let Some(noisy) = &routing.noisy {
            gates.probs = Some(softmax(noisy.logits.clone(), 1));
        }
        Self {
            importance: vmoe_importance(routing),
            load: vmoe_load(routing),
            gshard: first_choice(&gates),
        }
    }

    /// The weighted sum; nothing for routers without losses.
    pub(super) fn auxiliary(&self, router: &PublishedVmoeRouter) -> Tensor<1> {
        let zero = self.importance.zeros_like();
        let PublishedVmoeRouter::NoisyTopExpertsPerItemRouter { losses, .. } = router else {
            return zero;
        };
        let weighted = [
            (losses.importance, &self.importance),
            (losses.load, &self.load),
            (losses.gshard, &self.gshard),
        ];
        let used = weighted.into_iter().filter(|(weight, _)| *weight > 0.0);
        used.fold(zero, |sum, (weight, loss)| sum + loss.clone() * weight)
    }
}

/// The routing of the tokens of one group by itself.
fn of_group(routing: &Routing, group: usize) -> Routing {
    let size = routing.n_tokens() / routing.n_groups;
    let of = |x: &Tensor<2>| x.clone().narrow(0, group * size, size);
    let Plan::Sparse(plan) = &routing.plan else {
        return routing.clone();
    };
    let tokens = (group * size) as u32..((group + 1) * size) as u32;
    let mut assignments = Assignments::default();
    let mut chosen: Vec<i64> = Vec::new();
    for (n, (token, expert)) in pairs(&plan.assignments).enumerate() {
        if tokens.contains(&token) {
            assignments.push(token - tokens.start, expert);
            chosen.push(n as i64);
        }
    }
    let data = TensorData::new(chosen.clone(), [chosen.len()]);
    let chosen = Tensor::<1, Int>::from_data(data, &plan.weights.device());
    let weights = plan.weights.clone().select(0, chosen);
    let noisy = routing.noisy.as_ref().map(|noisy| NoisyLogits {
        logits: of(&noisy.logits),
        std: of(&noisy.std),
    });
    Routing::sparse(
        assignments,
        weights,
        of(&routing.logits),
        routing.probs.as_ref().map(of),
    )
    .noisy(noisy)
}

fn pairs(assignments: &Assignments) -> impl Iterator<Item = (u32, u32)> {
    let experts = assignments.experts().iter().copied();
    assignments.tokens().iter().copied().zip(experts)
}

fn check_soft(
    checker: &mut Checker<'_>,
    name: &impl Fn(&str) -> String,
    moe: &PublishedVmoeExperts,
    plan: &SoftPlan,
    tolerance: Tolerance,
) {
    let [n_groups, size, n_slots] = plan.dispatch.dims();
    let shape = [n_groups, size, moe.num_experts, n_slots / moe.num_experts];
    for (what, map) in [
        ("dispatch_weights", &plan.dispatch),
        ("combine_weights", &plan.combine),
    ] {
        let map: Tensor<4> = map.clone().reshape(shape);
        checker.tensor(&name(what), map, tolerance);
    }
}

fn check_sparse(
    checker: &mut Checker<'_>,
    name: &impl Fn(&str) -> String,
    moe: &PublishedVmoeExperts,
    routing: &Routing,
    tolerances: &Tolerances,
) {
    let Plan::Sparse(plan) = &routing.plan else {
        return;
    };
    let n_experts = routing.n_experts();
    let size = routing.n_tokens() / routing.n_groups;
    let shape = [routing.n_groups, size, n_experts];
    let logits: Tensor<3> = routing.logits.clone().reshape(shape);
    checker.tensor(&name("router_logits"), logits, tolerances.scores);

    let weights = to_vec(plan.weights.clone());
    let mut combine = vec![0.0; shape.iter().product()];
    for (n, (token, expert)) in pairs(&plan.assignments).enumerate() {
        if plan.assignments.kept()[n] {
            combine[token as usize * n_experts + expert as usize] += weights[n];
        }
    }
    checker.floats(
        &name("combine_weights_gse"),
        &shape,
        &combine,
        tolerances.states,
    );

    let slots = Slots::new(moe, size);
    let dispatch = slots.dispatch(&plan.assignments, &weights, routing.n_groups);
    let shape = [shape[0], shape[1], shape[2], slots.capacity];
    checker.ids(&name("dispatch_weights"), &shape, &dispatch);
}

/// The places of experts as the published code numbers them.
struct Slots {
    n_experts: usize,
    group_size: usize,
    capacity: usize,
    /// True if the list of choices is that of experts, each from best to worst.
    by_expert: bool,
    /// True if tokens of the largest gate come first.
    by_gate: bool,
}

impl Slots {
    fn new(moe: &PublishedVmoeExperts, group_size: usize) -> Self {
        let (capacity, by_expert, by_gate) = match moe.router {
            PublishedVmoeRouter::NoisyTopExpertsPerItemRouter {
                dispatcher,
                num_selected_experts: k,
                batch_priority,
                ..
            } => {
                let capacity = dispatcher.capacity(moe.num_experts, group_size * k);
                (capacity, false, batch_priority)
            }
            PublishedVmoeRouter::NoisyTopItemsPerExpertRouter { dispatcher, .. } => (
                dispatcher.capacity(moe.num_experts, group_size),
                true,
                false,
            ),
            PublishedVmoeRouter::SoftRouter { num_slots, .. } => (num_slots, true, false),
        };
        Self {
            n_experts: moe.num_experts,
            group_size,
            capacity,
            by_expert,
            by_gate,
        }
    }

    /// 1 where a token has a place, `[G, S, E, C]` row by row. A choice that has a place beyond the
    /// capacity is left out, and so is one that was dropped.
    fn dispatch(&self, assignments: &Assignments, weights: &[f32], n_groups: usize) -> Vec<i64> {
        let n_tokens = n_groups * self.group_size;
        let mut taken = vec![0; n_groups * self.n_experts];
        let mut dispatch = vec![0; n_tokens * self.n_experts * self.capacity];
        for n in self.served(assignments, weights) {
            let token = assignments.tokens()[n] as usize;
            let expert = assignments.experts()[n] as usize;
            let place = &mut taken[token / self.group_size * self.n_experts + expert];
            if assignments.kept()[n] && *place < self.capacity {
                dispatch[(token * self.n_experts + expert) * self.capacity + *place] = 1;
            }
            *place += 1;
        }
        dispatch
    }

    /// The choices in the order in which places are given: all first choices before any second, of each by
    /// position or by the token's first gate.
    fn served(&self, assignments: &Assignments, weights: &[f32]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..assignments.len()).collect();
        if self.by_expert {
            return order;
        }
        let mut first_n = vec![0; assignments.len()];
        for n in 1..assignments.len() {
            let is_same = assignments.tokens()[n] == assignments.tokens()[n - 1];
            first_n[n] = if is_same { first_n[n - 1] } else { n };
        }
        let choice = |n: usize| n - first_n[n];
        if self.by_gate {
            let gate = |n: usize| weights[first_n[n]];
            order.sort_by(|&a, &b| gate(b).total_cmp(&gate(a)));
        }
        order.sort_by_key(|&n| choice(n));
        order
    }
}
