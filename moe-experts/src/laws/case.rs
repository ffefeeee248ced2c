//! Generated cases of the laws of executors.

use crate::Activation;
use crate::laws::problem::{Entry, Problem, ProblemBiases};
use moe_router::parts::{mix_seed, uniform_below, uniform_unit};
use proptest::prelude::*;

/// Patterns of assignments in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Every token to the same number of experts.
    TopK,
    /// Every token to a number of its own, perhaps to none.
    VariableK,
    /// All tokens to one expert.
    OneExpert,
    /// Every expert takes the same number of tokens.
    ExpertChoice,
    /// Rows that are expert's slots already, each of weight 1.
    Slots,
    /// Any pairs, some of them twice.
    AnyPairs,
}

/// One generated situation: sizes, who goes where, and the seed of all numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorCase {
    /// The number of tokens.
    pub n_tokens: usize,
    /// The number of experts.
    pub n_experts: usize,
    /// The width of the tokens.
    pub d_model: usize,
    /// The hidden width of an expert.
    pub d_expert: usize,
    /// The non-linearity.
    pub activation: Activation,
    /// Pattern of the assignments.
    pub pattern: Pattern,
    /// The experts of a token, or the tokens of an expert, at most.
    pub k: usize,
    /// Dropped assignments of four, on average.
    pub dropped_of_4: usize,
    /// The seed of tokens, weights and assignments.
    pub seed: u64,
}

impl ExecutorCase {
    /// All cases; they shrink to fewer tokens and experts.
    pub fn strategy() -> impl Strategy<Value = ExecutorCase> {
        let width = || prop_oneof![4 => 1usize..=9, 1 => 10usize..=40];
        let sizes = (0usize..=9, 1usize..=6, width(), width());
        let activation = prop_oneof![
            3 => Just(Activation::SwiGlu),
            1 => Just(Activation::Gelu),
            1 => Just(Activation::Relu),
            1 => Just(Activation::Silu),
        ];
        let pattern = prop_oneof![
            3 => Just(Pattern::TopK),
            1 => Just(Pattern::VariableK),
            1 => Just(Pattern::OneExpert),
            1 => Just(Pattern::ExpertChoice),
            1 => Just(Pattern::Slots),
            2 => Just(Pattern::AnyPairs),
        ];
        let settings = (0usize..6, prop_oneof![Just(0usize), 0usize..=3], 0u64..1000);
        (sizes, activation, pattern, settings).prop_map(|(sizes, activation, pattern, settings)| {
            let (n_tokens, n_experts, d_model, d_expert) = sizes;
            let (k, dropped_of_4, seed) = settings;
            ExecutorCase {
                n_tokens,
                n_experts,
                d_model,
                d_expert,
                activation,
                pattern,
                k: 1 + k % n_experts,
                dropped_of_4,
                seed,
            }
        })
    }

    /// The numbers of the case.
    pub(super) fn problem(&self) -> Problem {
        let entries = self.entries();
        let stack = self.n_experts * self.d_model * self.d_expert;
        let gated = self.activation.is_gated();
        Problem {
            n_tokens: self.n_tokens,
            n_experts: self.n_experts,
            d_model: self.d_model,
            d_expert: self.d_expert,
            activation: self.activation,
            x: self.numbers(self.n_tokens * self.d_model, 1),
            target: self.numbers(self.n_tokens * self.d_model, 2),
            weights: match self.pattern {
                Pattern::Slots => vec![1.0; entries.len()],
                _ => self.numbers(entries.len(), 3),
            },
            entries,
            gate: gated.then(|| self.numbers(stack, 4)),
            up: self.numbers(stack, 5),
            down: self.numbers(stack, 6),
            biases: None,
        }
    }

    /// The numbers of the case; in every other case the experts have biases.
    pub(super) fn problem_with_biases(&self) -> Problem {
        let hidden = self.n_experts * self.d_expert;
        let gated = self.activation.is_gated();
        let biases = ProblemBiases {
            gate: gated.then(|| self.numbers(hidden, 8)),
            up: self.numbers(hidden, 9),
            down: self.numbers(self.n_experts * self.d_model, 10),
        };
        Problem {
            biases: (self.seed % 2 == 1).then_some(biases),
            ..self.problem()
        }
    }

    /// The assignments in the order of tokens, or of experts where experts choose.
    fn entries(&self) -> Vec<Entry> {
        let (t, e) = (self.n_tokens, self.n_experts);
        let pairs: Vec<(usize, usize)> = match self.pattern {
            Pattern::TopK => self.each_token(|_| self.k),
            Pattern::VariableK => self.each_token(|t| self.below(self.k + 1, 10, t)),
            Pattern::OneExpert => (0..t).map(|t| (t, self.below(e, 11, 0))).collect(),
            Pattern::ExpertChoice => (0..e)
                .flat_map(|e| {
                    self.some_of(t, self.k.min(t), 12 + e as u64)
                        .map(move |t| (t, e))
                })
                .collect(),
            Pattern::Slots => (0..t).map(|row| (row, row * e / t)).collect(),
            // there is no number below zero to draw
            Pattern::AnyPairs if t == 0 => Vec::new(),
            Pattern::AnyPairs => (0..t * self.k)
                .map(|a| (self.below(t, 20, a), self.below(e, 21, a)))
                .collect(),
        };
        let is_kept =
            |a: usize| self.pattern == Pattern::Slots || self.below(4, 22, a) >= self.dropped_of_4;
        let entry = |(a, (token, expert))| Entry {
            token,
            expert,
            kept: is_kept(a),
        };
        pairs.into_iter().enumerate().map(entry).collect()
    }

    /// Each token to so many experts, drawn without repetition.
    fn each_token(&self, k: impl Fn(usize) -> usize) -> Vec<(usize, usize)> {
        let of_token = |t| {
            let experts = self.some_of(self.n_experts, k(t), 100 + t as u64);
            experts.map(move |e| (t, e))
        };
        (0..self.n_tokens).flat_map(of_token).collect()
    }

    /// `k` different numbers below `n`, in a drawn order.
    pub(super) fn some_of(
        &self,
        n: usize,
        k: usize,
        key: u64,
    ) -> impl Iterator<Item = usize> + use<> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1, key, i));
        }
        order.into_iter().take(k)
    }

    fn below(&self, n: usize, key: u64, i: usize) -> usize {
        uniform_below(n, mix_seed(self.seed, key), i as u64)
    }

    /// Numbers from -1 to 1 that f32 represents.
    pub(super) fn numbers(&self, n: usize, key: u64) -> Vec<f64> {
        let seed = mix_seed(self.seed, 1000 + key);
        let number = |i| f64::from((2.0 * uniform_unit(seed, i) - 1.0) as f32);
        (0..n as u64).map(number).collect()
    }
}
