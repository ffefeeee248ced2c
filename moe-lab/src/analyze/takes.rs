//! The tokens that experts take, of any plan.

use moe_router::{Plan, Routing, to_vec};

/// The part that an expert reads of a token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Take {
    pub(super) token: usize,
    pub(super) expert: usize,
    /// The share of the expert's input: 1 for an assignment; of a soft plan the dispatch weight, mean
    /// over the expert's slots.
    pub(super) share: f64,
    /// The order of an expert's tokens: its probability for the token; of a soft plan the share over an
    /// even one.
    pub(super) score: f64,
}

/// All that experts read; dropped assignments are not read.
pub(super) fn takes(routing: &Routing) -> Vec<Take> {
    let n_experts = routing.n_experts();
    match &routing.plan {
        Plan::Sparse(plan) => {
            let probs_te = to_vec(routing.probs().detach());
            let a = &plan.assignments;
            let take = |n: usize| {
                let (token, expert) = (a.tokens()[n] as usize, a.experts()[n] as usize);
                Take {
                    token,
                    expert,
                    share: 1.0,
                    score: f64::from(probs_te[token * n_experts + expert]),
                }
            };
            (0..a.len()).filter(|&n| a.kept()[n]).map(take).collect()
        }
        Plan::Soft(plan) => {
            let [_, group_size, n_slots] = plan.dispatch.dims();
            let dispatch = to_vec(plan.dispatch.clone().detach());
            let slots_of_expert = n_slots / n_experts;
            let take = |(i, slots): (usize, &[f32])| {
                let sum: f64 = slots.iter().map(|&weight| f64::from(weight)).sum();
                let share = sum / slots_of_expert as f64;
                Take {
                    token: i / n_experts,
                    expert: i % n_experts,
                    share,
                    score: share * group_size as f64,
                }
            };
            let of_expert = dispatch.chunks(slots_of_expert).enumerate();
            of_expert.map(take).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};
    use moe_router::{Assignments, SoftPlan};

    #[test]
    fn kept_assignments_in_the_order_of_their_probability() {
        let device = Device::flex();
        let mut assignments = Assignments::default();
        for (token, expert) in [(0, 1), (1, 1)] {
            assignments.push(token, expert);
        }
        assignments.drop_assignment(0);
        let scores = Tensor::<2>::from_floats([[0.5, 0.5], [0.25, 0.75]], &device);
        let weights = Tensor::ones([2], &device);
        let routing = Routing::sparse(assignments, weights, scores.clone(), scores);
        let expected = Take {
            token: 1,
            expert: 1,
            share: 1.0,
            score: 0.75,
        };
        assert_eq!(takes(&routing), [expected]);
    }

    #[test]
    fn a_soft_plan_reads_by_its_dispatch() {
        // two tokens, two experts of two slots: expert 0 reads 0.5 and 0.25 of token 0, mean 0.375
        let dispatch = [[0.5, 0.25, 1.0, 1.0], [0.5, 0.75, 0.0, 0.0]];
        let dispatch = Tensor::<2>::from_floats(dispatch, &Device::flex()).unsqueeze::<3>();
        let scores = Tensor::<2>::ones([2, 2], &Device::flex());
        let plan = SoftPlan {
            combine: dispatch.clone(),
            dispatch,
        };
        let found = takes(&Routing::soft(plan, scores.clone(), scores));
        let shares: Vec<f64> = found.iter().map(|take| take.share).collect();
        assert_eq!(shares, [0.375, 1.0, 0.625, 0.0]);
        assert_eq!((found[2].token, found[2].expert), (1, 0));
        assert_eq!(found[2].score, 1.25); // of an even share 1/2
    }
}
