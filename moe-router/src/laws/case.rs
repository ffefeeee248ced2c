//! Generated cases of the laws of routers.

use crate::parts::{mix_seed, standard_normal, uniform_below};
use crate::{RouterInput, RouterShape};
use burn::tensor::{Device, Tensor};
use proptest::prelude::*;

/// Kinds of tokens in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// Standard normal numbers.
    Normal,
    /// Normal numbers times 40: saturated probabilities.
    Large,
    /// Zeros: every linear score ties.
    Zeros,
    /// One token, repeated.
    Identical,
    /// Rows that are normal, zero, repeated and large by turns.
    Mixed,
}

/// One generated situation: sizes, settings, tokens and their seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The number of sequences.
    pub n_groups: usize,
    /// The number of tokens of a sequence.
    pub group_size: usize,
    /// The width of the tokens.
    pub d_model: usize,
    /// The number of experts.
    pub n_experts: usize,
    /// The number of experts a token, for presets that have the key `top_k`.
    pub top_k: usize,
    /// The number of groups of experts, for presets that have the key `n_groups`.
    pub expert_groups: usize,
    /// The number of groups that a token may use, for presets that have the key `topk_groups`.
    pub chosen_groups: usize,
    /// The look of the tokens.
    pub tokens: Tokens,
    /// The number of padding tokens, where a law pads.
    pub padding: usize,
    /// The seed of weights, tokens and whatever else is drawn.
    pub seed: u64,
}

impl Case {
    /// All cases with at least `min_experts` experts; they shrink to fewer tokens and experts.
    pub fn strategy(min_experts: usize) -> impl Strategy<Value = Case> {
        let tokens = prop_oneof![
            3 => Just(Tokens::Normal),
            1 => Just(Tokens::Zeros),
            1 => Just(Tokens::Identical),
            1 => Just(Tokens::Large),
            1 => Just(Tokens::Mixed),
        ];
        let sizes = (1usize..=3, 1usize..=12, 0usize..3, min_experts..=8);
        let settings = (0usize..8, 0usize..4, 0usize..4, 1usize..=3, 0u64..1000);
        (sizes, settings, tokens).prop_map(|(sizes, settings, tokens)| {
            let (n_groups, group_size, width, n_experts) = sizes;
            let (k, groups, chosen, padding, seed) = settings;
            let divisors: Vec<usize> = (1..=n_experts).filter(|g| n_experts % g == 0).collect();
            let expert_groups = divisors[groups % divisors.len()];
            let chosen_groups = 1 + chosen % expert_groups;
            let top_k = 1 + k % (chosen_groups * (n_experts / expert_groups));
            Case {
                n_groups,
                group_size,
                d_model: [5, 7, 11][width],
                n_experts,
                top_k,
                expert_groups,
                chosen_groups,
                tokens,
                padding,
                seed,
            }
        })
    }

    /// Shape of the layer, as the router must know it.
    pub fn shape(&self) -> RouterShape {
        RouterShape {
            d_model: self.d_model,
            n_experts: self.n_experts,
            layer: 1,
        }
    }

    /// The number of tokens `T`.
    pub fn n_tokens(&self) -> usize {
        self.n_groups * self.group_size
    }

    /// The tokens of the case, `[T, D]`.
    pub fn x(&self, device: &Device) -> Tensor<2> {
        let x_td = self.distinct(device);
        let row = |t: usize| x_td.clone().narrow(0, t, 1);
        match self.tokens {
            Tokens::Normal => x_td,
            Tokens::Large => x_td * 40.0,
            Tokens::Zeros => x_td * 0.0,
            Tokens::Identical => row(0).repeat_dim(0, self.n_tokens()),
            Tokens::Mixed => {
                let rows = (0..self.n_tokens()).map(|t| match t % 4 {
                    0 => row(t),
                    1 => row(t) * 0.0,
                    2 => row(0),
                    _ => row(t) * 40.0,
                });
                Tensor::cat(rows.collect(), 0)
            }
        }
    }

    /// Normal tokens whatever the look of the case, all different, `[T, D]`.
    pub fn distinct(&self, device: &Device) -> Tensor<2> {
        self.normal(self.n_tokens(), 1, device)
    }

    /// `n` other normal tokens, `[n, D]`, another draw for each key.
    pub fn normal(&self, n: usize, key: u64, device: &Device) -> Tensor<2> {
        standard_normal(mix_seed(self.seed, key), [n, self.d_model], device)
    }

    /// The vocabulary ids of `n` tokens, another draw for each key.
    pub fn ids(&self, n: usize, key: u64) -> Vec<u32> {
        let seed = mix_seed(self.seed, 1000 + key);
        (0..n as u64)
            .map(|t| uniform_below(50, seed, t) as u32)
            .collect()
    }

    /// An input of the case's groups, with vocabulary ids.
    pub fn input(&self, x_td: Tensor<2>) -> RouterInput {
        let ids = self.ids(x_td.dims()[0], 0);
        RouterInput::new(x_td)
            .groups(self.n_groups)
            .token_ids(ids.into())
    }

    /// A permutation of `0..n`.
    pub(super) fn permutation(&self, n: usize, key: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(
                i,
                uniform_below(i + 1, mix_seed(self.seed, 2000 + key), i as u64),
            );
        }
        order
    }
}
