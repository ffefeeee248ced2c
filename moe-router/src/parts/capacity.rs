//! Capacity of an expert in a group, with the rounding of each source.

use crate::RouterInput;
use serde::{Deserialize, Serialize};

/// The rounding of a source, for a group of `M` tokens, `E` experts, `k` experts a token and a capacity
/// factor `f`. The order of the operations is the source's: it decides in floating point.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum CapacityRule {
    /// No limit: an expert takes as many as come.
    #[default]
    None,
    /// `int(M / E * f)`, at least 1, whatever `k` (Fedus et al. 2021, arXiv 2101.03961, equation 3).
    Switch,
    /// `int(M * f / E)`, at most `M` and at least the minimum, whatever `k`: Mesh TensorFlow, which
    /// trained ST-MoE (arXiv 2202.08906).
    Mesh,
    /// `ceil(M * k / E * f)`, at least the minimum: Megatron-LM and DeepSpeed, named `deepspeed` too.
    #[serde(alias = "deepspeed")]
    Megatron,
    /// `int(f * (k * M / E))`: MegaBlocks (Gale et al. 2022, arXiv 2211.15841).
    Megablocks,
    /// `k * int(f * ceil(M / E))`: Tutel (Hwang et al. 2022, arXiv 2206.03382).
    Tutel,
    /// `ceil(M * k * f / E)`, rounded up to a multiple, of 4 unless told otherwise: V-MoE (Riquelme et
    /// al. 2021, arXiv 2106.05974).
    Vmoe,
    /// `int(k * M * f / E)`, above 1 rounded up to a multiple of 4 and else 1: Lingvo, which trained
    /// GShard (Lepikhin et al. 2020, arXiv 2006.16668, whose `2N / (G E)` is `k = 2`, `f = 1`).
    Gshard,
    /// `round(M * f / E)`, from 1 to `M`, whatever `k`: expert choice (Zhou et al. 2022, arXiv
    /// 2202.09368, equation 1).
    ExpertChoice,
}

/// Rounding of a capacity by V-MoE's rule and by expert choice.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum CapacityRounding {
    /// Up.
    #[default]
    Up,
    /// To the nearest, a half away from zero.
    Nearest,
    /// To the nearest, a half to the even neighbour: what Python calls `round`.
    NearestEven,
}

impl CapacityRounding {
    /// Returns `true` for rounding up.
    pub fn is_up(&self) -> bool {
        *self == Self::Up
    }

    /// Returns `true` for rounding to the nearest, a half away from zero.
    pub fn is_nearest(&self) -> bool {
        *self == Self::Nearest
    }

    /// A capacity, rounded.
    pub fn of(self, capacity: f64) -> f64 {
        match self {
            Self::Up => capacity.ceil(),
            Self::Nearest => capacity.round(),
            Self::NearestEven => capacity.round_ties_even(),
        }
    }
}

/// Capacity of an expert in a group: the most tokens that it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// The rounding.
    pub rule: CapacityRule,
    /// The capacity factor `f`; 1 is just enough if the load is perfectly balanced.
    pub factor: f64,
    /// The number of experts a token `k`.
    pub top_k: usize,
    /// The least capacity, for the rules that know one. Default: 0
    pub minimum: usize,
    /// Multiple that V-MoE's rule and expert choice round up to. Default: 4 and 1
    pub multiple_of: usize,
    /// Rounding by the two before that. Default: up and to the nearest
    pub rounding: CapacityRounding,
}

impl CapacityRule {
    /// Returns `true` if the rule knows a least capacity.
    pub fn has_minimum(self) -> bool {
        matches!(self, CapacityRule::Mesh | CapacityRule::Megatron)
    }
}

impl Capacity {
    /// A rule with its factor, for `k` experts a token.
    pub fn new(rule: CapacityRule, factor: f64, top_k: usize) -> Self {
        let (multiple_of, rounding) = match rule {
            CapacityRule::ExpertChoice => (1, CapacityRounding::Nearest),
            _ => (4, CapacityRounding::Up),
        };
        Self {
            rule,
            factor,
            top_k,
            minimum: 0,
            multiple_of,
            rounding,
        }
    }

    /// Sets the least capacity.
    pub fn minimum(mut self, minimum: usize) -> Self {
        self.minimum = minimum;
        self
    }

    /// Sets what V-MoE's rule and expert choice round up to a multiple of.
    pub fn multiple_of(mut self, multiple_of: usize) -> Self {
        self.multiple_of = multiple_of;
        self
    }

    /// Sets how V-MoE's rule and expert choice round.
    pub fn rounding(mut self, rounding: CapacityRounding) -> Self {
        self.rounding = rounding;
        self
    }

    /// The capacity of an expert for a group of `n_tokens`; `n_tokens` itself if there is no limit. A
    /// factor that gives more is the same as one that gives `n_tokens`, before that is rounded up.
    ///
    /// # Panics
    ///
    /// Panics if there is no expert, or if a multiple of 0 is asked for.
    pub fn of(&self, n_tokens: usize, n_experts: usize) -> usize {
        assert!(n_experts > 0, "a capacity is that of an expert");
        let (m, e, k) = (n_tokens as f64, n_experts as f64, self.top_k as f64);
        let f = self.factor;
        // the cast drops the fraction as `int` of the sources does; the minimum comes first, for factors
        // without limit
        let int = |capacity: f64| capacity.min(m) as usize;
        match self.rule {
            CapacityRule::None => n_tokens,
            CapacityRule::Switch => int(m / e * f).max(1),
            CapacityRule::Mesh => int(m * f / e).max(self.minimum),
            CapacityRule::Megatron => int((m * k / e * f).ceil()).max(self.minimum),
            CapacityRule::Megablocks => int(f * (k * m / e)),
            CapacityRule::Tutel => self.top_k * int(f * (m / e).ceil()),
            CapacityRule::Vmoe => {
                int(self.rounding.of(m * k * f / e)).next_multiple_of(self.multiple_of)
            }
            CapacityRule::Gshard => match int(k * m * f / e) {
                0 | 1 => 1,
                more => more.next_multiple_of(4),
            },
            CapacityRule::ExpertChoice => int(self.rounding.of(m * f / e))
                .max(1)
                .next_multiple_of(self.multiple_of),
        }
    }

    /// The capacity of an expert for each group `[G]`. Padding is not counted.
    pub fn of_groups(&self, input: &RouterInput, n_experts: usize) -> Vec<usize> {
        let size = input.group_size();
        (0..input.n_groups)
            .map(|group| {
                let tokens = group * size..(group + 1) * size;
                let n_tokens = tokens.filter(|&t| !input.is_padding(t)).count();
                self.of(n_tokens, n_experts)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};
    use proptest::prelude::*;

    fn capacity(rule: CapacityRule, factor: f64, top_k: usize) -> Capacity {
        Capacity::new(rule, factor, top_k).minimum(4)
    }

    /// Law 9: 10 tokens, 4 experts, k = 2, f = 1.25, each rule by hand.
    #[test]
    fn each_source_rounds_its_own_way() {
        let of = |rule, n_tokens| capacity(rule, 1.25, 2).of(n_tokens, 4);
        assert_eq!(of(CapacityRule::None, 10), 10);
        assert_eq!(of(CapacityRule::Switch, 10), 3); // 10 / 4 * 1.25 = 3.125
        assert_eq!(of(CapacityRule::Mesh, 10), 4); // int(12.5 / 4) = 3, at least 4
        assert_eq!(of(CapacityRule::Megatron, 10), 7); // ceil(20 / 4 * 1.25 = 6.25)
        assert_eq!(of(CapacityRule::Megablocks, 10), 6); // int(1.25 * 5)
        assert_eq!(of(CapacityRule::Tutel, 10), 6); // 2 * int(1.25 * 3 = 3.75)
        assert_eq!(of(CapacityRule::Vmoe, 10), 8); // ceil(6.25) = 7, to a multiple of 4
        assert_eq!(of(CapacityRule::Gshard, 10), 8); // int(6.25) = 6, to a multiple of 4
        assert_eq!(of(CapacityRule::ExpertChoice, 10), 3); // round(3.125)
    }

    #[test]
    fn small_groups_keep_their_least() {
        let of = |rule| capacity(rule, 1.0, 1).of(1, 8); // exact: 0.125
        assert_eq!(of(CapacityRule::Switch), 1);
        assert_eq!(of(CapacityRule::Mesh), 4); // int(0.125) = 0, at least 4
        assert_eq!(of(CapacityRule::Megatron), 4);
        assert_eq!(of(CapacityRule::Megablocks), 0);
        assert_eq!(of(CapacityRule::Tutel), 1); // int(1.0 * ceil(0.125))
        assert_eq!(of(CapacityRule::Vmoe), 4);
        assert_eq!(of(CapacityRule::Gshard), 1);
        assert_eq!(of(CapacityRule::ExpertChoice), 1);
    }

    #[test]
    fn what_is_an_exact_multiple_is_not_raised() {
        // 16 * 2 / 4 = 8
        for rule in [
            CapacityRule::Megatron,
            CapacityRule::Megablocks,
            CapacityRule::Tutel,
            CapacityRule::Vmoe,
            CapacityRule::Gshard,
        ] {
            assert_eq!(capacity(rule, 1.0, 2).of(16, 4), 8, "{rule:?}");
        }
    }

    #[test]
    fn vmoe_may_round_to_any_multiple() {
        // 34 * 2 * 0.5 / 4 = 8.5
        let capacity = capacity(CapacityRule::Vmoe, 0.5, 2);
        assert_eq!(capacity.of(34, 4), 12);
        assert_eq!(capacity.multiple_of(1).of(34, 4), 9);
    }

    #[test]
    fn halves_are_rounded_as_asked() {
        use CapacityRounding::*;
        // 10 tokens * 1.0 / 4 experts = 2.5; 14 / 4 = 3.5
        for rule in [CapacityRule::Vmoe, CapacityRule::ExpertChoice] {
            let of = |rounding, n_tokens| {
                let capacity = Capacity::new(rule, 1.0, 1).multiple_of(1);
                capacity.rounding(rounding).of(n_tokens, 4)
            };
            assert_eq!((of(Up, 10), of(Up, 14)), (3, 4));
            assert_eq!((of(Nearest, 10), of(Nearest, 14)), (3, 4));
            assert_eq!((of(NearestEven, 10), of(NearestEven, 14)), (2, 4));
        }
        let by_four = Capacity::new(CapacityRule::ExpertChoice, 1.0, 1).multiple_of(4);
        assert_eq!(by_four.of(20, 4), 8); // 5, to a multiple of 4
    }

    #[test]
    fn padding_is_not_counted() {
        let padding = [false, false, false, true, true, true];
        let input = RouterInput::new(Tensor::zeros([6, 1], &Device::flex()))
            .groups(2)
            .padding(padding.into());
        let capacity = capacity(CapacityRule::None, 1.0, 1);
        assert_eq!(capacity.of_groups(&input, 2), [3, 0]);
    }

    #[test]
    fn a_factor_beyond_all_tokens_takes_all() {
        use CapacityRule::*;
        for rule in [
            Switch,
            Mesh,
            Megatron,
            Megablocks,
            Tutel,
            Vmoe,
            Gshard,
            ExpertChoice,
        ] {
            let of = |n_tokens| capacity(rule, 1e300, 2).of(n_tokens, 4);
            // 10 tokens, which V-MoE and GShard raise to a multiple of 4 and Tutel counts twice
            let expected = match rule {
                Vmoe | Gshard => 12,
                Tutel => 20,
                _ => 10,
            };
            assert_eq!(of(10), expected, "{rule:?}");
            assert!(of(0) <= 4, "{rule:?}");
        }
    }

    #[test]
    fn both_names_of_a_rule_are_read() {
        let read = |name: &str| serde_json::from_str::<CapacityRule>(name).expect("a rule");
        assert_eq!(read("\"deepspeed\""), CapacityRule::Megatron);
        assert_eq!(read("\"megatron\""), CapacityRule::Megatron);
        assert_eq!(read("\"vmoe\""), CapacityRule::Vmoe);
    }

    proptest! {
        #[test]
        fn a_larger_factor_or_group_never_lowers_a_capacity(
            n_tokens in 0usize..200, n_experts in 1usize..17, top_k in 1usize..5,
            factor in 0.1f64..4.0, more in 0.0f64..2.0,
        ) {
            for rule in [
                CapacityRule::None, CapacityRule::Switch, CapacityRule::Mesh,
                CapacityRule::Megatron, CapacityRule::Megablocks, CapacityRule::Tutel,
                CapacityRule::Vmoe, CapacityRule::Gshard, CapacityRule::ExpertChoice,
            ] {
                let of = |factor, n| capacity(rule, factor, top_k).of(n, n_experts);
                prop_assert!(of(factor, n_tokens) <= of(factor + more, n_tokens), "{:?}", rule);
                prop_assert!(of(factor, n_tokens) <= of(factor, n_tokens + 1), "{:?}", rule);
            }
        }
    }
}
