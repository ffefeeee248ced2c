//! Filling buffers of limited size: who comes first, and what becomes of a token that finds its expert
//! full.

mod on_device;

use super::{mix_seed, top_k};
use crate::{Assignments, Causality, RouterInput};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Priorities by which the tokens of a group claim their places.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Earlier tokens.
    #[default]
    Position,
    /// Tokens of the largest best gate: batch priority routing (Riquelme et al. 2021, arXiv 2106.05974,
    /// section 4.1); ties by position.
    Score,
    /// Tokens in an order that the call's noise seed draws; in evaluation, by position.
    Random,
}

/// Order in which a group's choices are served.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum FillOrder {
    /// All choices of a token, then those of the next.
    #[default]
    TokenByToken,
    /// The first choices of all tokens, then their second choices, and so on.
    ChoiceByChoice,
}

/// Treatment of a choice whose expert is full.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// It is dropped.
    #[default]
    Drop,
    /// The token takes its best expert that has room and that it does not have already. Only if there
    /// is none is the choice dropped.
    NextChoice,
}

/// Rule that fills the experts' buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffers {
    /// Tokens that come first.
    pub priority: Priority,
    /// Token by token, or choice by choice.
    pub order: FillOrder,
    /// Treatment of a choice whose expert is full.
    pub overflow: Overflow,
}

/// Choices, scores and groups that the buffers are filled from.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// The choices: one token after the other, those of a token from best to worst.
    pub asked: &'a Assignments,
    /// Scores by which a token ranks its experts, `[T, E]`; minus infinity for one that it may not use.
    /// Not-a-number ranks last.
    pub ranking_te: &'a [f32],
    /// The gates by which tokens are compared `[T, E]`.
    pub gates_te: &'a [f32],
    /// The places of an expert for each group `[G]`.
    pub capacity_g: &'a [usize],
}

impl Buffers {
    /// Causality of the fill: later tokens of a group may take a place from earlier ones, for up to `k`
    /// choices a token.
    pub fn causality(&self, k: usize) -> Causality {
        match (self.priority, self.order) {
            (Priority::Score, _) => Causality::Leaks(
                "buffers are filled by score, so a later token can take an earlier one's place",
            ),
            (_, FillOrder::ChoiceByChoice) if k > 1 => Causality::Leaks(
                "buffers are filled choice by choice, so a later token's first choice comes before an earlier one's second",
            ),
            (Priority::Random, _) => Causality::LeaksInTraining(
                "buffers are filled at random while training, so a later token can take an earlier one's place",
            ),
            _ => Causality::Causal,
        }
    }

    /// Fills the buffers and returns the choices in the order in which they were given. Choices without a
    /// place are marked as dropped; those that moved have their new expert.
    ///
    /// # Panics
    ///
    /// Panics if the claims are not those of the input's tokens and groups.
    pub fn fill(&self, input: &RouterInput, claims: &Claims) -> Assignments {
        let n_tokens = input.n_tokens();
        assert_eq!(
            claims.capacity_g.len(),
            input.n_groups,
            "one capacity a group"
        );
        assert!(
            claims.asked.tokens().is_sorted(),
            "choices come one token after the other"
        );
        let mut filling = Filling::new(claims, n_tokens, input.group_size());
        for group in 0..input.n_groups {
            let order = self.order_of(group, input, claims);
            self.serve(&order, &mut filling);
        }
        filling.assignments()
    }

    /// The tokens of a group in the order in which they claim places.
    fn order_of(&self, group: usize, input: &RouterInput, claims: &Claims) -> Vec<usize> {
        let size = input.group_size();
        let mut order: Vec<usize> = (group * size..(group + 1) * size).collect();
        match (self.priority, input.noise) {
            (Priority::Position, _) | (Priority::Random, None) => {}
            (Priority::Random, Some(seed)) => {
                let seed = mix_seed(seed, 0x7072_696f_7269_7479); // apart from other noise of the call
                order.sort_by_key(|&t| mix_seed(seed, t as u64));
            }
            (Priority::Score, _) => {
                let n_experts = claims.gates_te.len() / input.n_tokens().max(1);
                let best = |t: usize| {
                    let gates_e = &claims.gates_te[t * n_experts..(t + 1) * n_experts];
                    gates_e.iter().copied().fold(f32::NEG_INFINITY, f32::max)
                };
                // the sort is stable: equal gates keep the order of their positions
                order.sort_by(|&a, &b| best(b).total_cmp(&best(a)));
            }
        }
        order
    }

    fn serve(&self, order: &[usize], filling: &mut Filling) {
        match self.order {
            FillOrder::TokenByToken => {
                for &t in order {
                    for n in filling.choices_t[t].clone() {
                        filling.place(t, n, self.overflow);
                    }
                }
            }
            FillOrder::ChoiceByChoice => {
                let lengths = order.iter().map(|&t| filling.choices_t[t].len());
                for choice in 0..lengths.max().unwrap_or(0) {
                    for &t in order {
                        let n = filling.choices_t[t].start + choice;
                        if n < filling.choices_t[t].end {
                            filling.place(t, n, self.overflow);
                        }
                    }
                }
            }
        }
    }
}

/// Buffers while they are filled.
struct Filling<'a> {
    claims: &'a Claims<'a>,
    group_size: usize,
    n_experts: usize,
    /// Range of a token's choices in the list, `[T]`.
    choices_t: Vec<Range<usize>>,
    /// Places taken, `[G, E]`.
    taken_ge: Vec<usize>,
    /// The expert of each choice and whether it has a place, once it was served, `[A]`.
    served_a: Vec<Option<(u32, bool)>>,
}

impl<'a> Filling<'a> {
    fn new(claims: &'a Claims<'a>, n_tokens: usize, group_size: usize) -> Self {
        let n_experts = claims.ranking_te.len() / n_tokens.max(1);
        let mut choices_t = vec![0..0; n_tokens];
        for (n, &token) in claims.asked.tokens().iter().enumerate() {
            let choices = &mut choices_t[token as usize];
            let start = if choices.end == 0 { n } else { choices.start };
            *choices = start..n + 1;
        }
        Self {
            claims,
            group_size,
            n_experts,
            choices_t,
            taken_ge: vec![0; claims.capacity_g.len() * n_experts],
            served_a: vec![None; claims.asked.len()],
        }
    }

    fn place(&mut self, t: usize, n: usize, overflow: Overflow) {
        let group = t / self.group_size;
        let full = |expert: u32, taken_ge: &[usize]| {
            taken_ge[group * self.n_experts + expert as usize] >= self.claims.capacity_g[group]
        };
        let expert = match overflow {
            Overflow::Drop => self.claims.asked.experts()[n],
            Overflow::NextChoice => {
                let free = self.free(t);
                let room = free.iter().find(|&&e| !full(e, &self.taken_ge));
                // without room anywhere, the choice is recorded at the best that it could not have
                let first = room.or(free.first());
                *first.expect("a token makes no more choices than it has candidates")
            }
        };
        // asked again: an expert that was recorded without room is full
        let kept = !full(expert, &self.taken_ge);
        self.taken_ge[group * self.n_experts + expert as usize] += usize::from(kept);
        self.served_a[n] = Some((expert, kept));
    }

    /// The experts that the token may use and does not have yet, from best to worst.
    fn free(&self, t: usize) -> Vec<u32> {
        let ranking_e = &self.claims.ranking_te[t * self.n_experts..(t + 1) * self.n_experts];
        let served = &self.served_a[self.choices_t[t].clone()];
        let has = |expert: u32| served.iter().flatten().any(|&(e, _)| e == expert);
        top_k(ranking_e, self.n_experts)
            .into_iter()
            .filter(|&e| ranking_e[e as usize] != f32::NEG_INFINITY && !has(e))
            .collect()
    }

    fn assignments(self) -> Assignments {
        let mut filled = Assignments::with_capacity(self.served_a.len());
        for (n, served) in self.served_a.into_iter().enumerate() {
            let (expert, kept) = served.expect("every choice of every group was served");
            filled.push(self.claims.asked.tokens()[n], expert);
            if !kept {
                filled.drop_assignment(n);
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests;
