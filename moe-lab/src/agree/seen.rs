//! What an engine made of the tokens, on the host.

use moe_router::parts::ExpertGroups;
use moe_router::{Plan, Routing, to_vec};

/// Routings, outputs and losses of an engine, of all windows one after the other.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Each layer that has a router.
    pub layers: Vec<SeenLayer>,
    /// The state after the last norm, or the scores of classes, row by row.
    pub outputs: Vec<f32>,
    /// The loss of each prediction in nats.
    pub losses: Vec<f32>,
    /// The most likely token or class of each prediction.
    pub best: Vec<u32>,
}

/// The choices of a layer, `T` tokens.
#[derive(Debug, Clone)]
pub struct SeenLayer {
    /// The number of experts.
    pub n_experts: usize,
    /// The window of each token, `[T]`.
    pub windows: Vec<u32>,
    /// The experts that each token asked for, ascending, `[T]`; empty for padding.
    pub asked: Vec<Vec<u32>>,
    /// Those that kept it.
    pub kept: Vec<Vec<u32>>,
    /// The scores by which each token took its best, `[T, E]`, row by row; none of a router where that is not how it is.
    pub ranking: Option<Vec<f32>>,
    /// Groups of experts that tokens are limited to.
    pub groups: Option<ExpertGroups>,
    /// True if of equal scores any may be taken, and not those of the lowest index alone.
    pub any_ties: bool,
}

impl Seen {
    /// Adds the routings of so many more windows, of which the first `n_counted` count.
    pub fn add_routings(&mut self, routings: &[Routing], n_windows: usize, n_counted: usize) {
        if self.layers.is_empty() {
            self.layers = routings.iter().map(SeenLayer::like).collect();
        }
        for (layer, routing) in self.layers.iter_mut().zip(routings) {
            layer.add(routing, n_windows, n_counted);
        }
    }
}

impl SeenLayer {
    fn like(routing: &Routing) -> Self {
        Self {
            n_experts: routing.n_experts(),
            windows: Vec::new(),
            asked: Vec::new(),
            kept: Vec::new(),
            ranking: routing.ranking.is_some().then(Vec::new),
            groups: routing.expert_groups,
            any_ties: false,
        }
    }

    fn add(&mut self, routing: &Routing, n_windows: usize, n_counted: usize) {
        let of_window = routing.n_tokens() / n_windows;
        let n_tokens = of_window * n_counted;
        let first = self.windows.last().map_or(0, |last| last + 1);
        let window = |t: usize| first + (t / of_window) as u32;
        self.windows.extend((0..n_tokens).map(window));
        let mut asked = vec![Vec::new(); routing.n_tokens()];
        let mut kept = asked.clone();
        if let Plan::Sparse(plan) = &routing.plan {
            let assignments = &plan.assignments;
            let pairs = assignments.tokens().iter().zip(assignments.experts());
            for ((&token, &expert), &is_kept) in pairs.zip(assignments.kept()) {
                asked[token as usize].push(expert);
                if is_kept {
                    kept[token as usize].push(expert);
                }
            }
        }
        for experts in asked.iter_mut().chain(&mut kept) {
            experts.sort_unstable();
        }
        self.asked.extend(asked.drain(..n_tokens));
        self.kept.extend(kept.drain(..n_tokens));
        if let (Some(all), Some(ranking)) = (&mut self.ranking, &routing.ranking) {
            all.extend_from_slice(&to_vec(ranking.clone())[..n_tokens * self.n_experts]);
        }
    }

    /// The scores of a token, `[E]`, if the router ranks its experts.
    pub(super) fn ranked(&self, token: usize) -> Option<&[f32]> {
        let all = self.ranking.as_ref()?;
        Some(&all[token * self.n_experts..][..self.n_experts])
    }
}
