//! Tests of the order in which buffers are filled.

use super::*;
use crate::parts::token_choice;
use burn::tensor::{Device, Tensor};
use proptest::prelude::*;

/// Routes tokens of the given scores, `k` choices each.
#[derive(Debug)]
struct Case {
    scores_te: Vec<f32>,
    n_experts: usize,
    n_groups: usize,
    k: usize,
    noise: Option<u64>,
}

impl Case {
    fn input(&self) -> RouterInput {
        let n_tokens = self.scores_te.len() / self.n_experts;
        RouterInput::new(Tensor::zeros([n_tokens, 1], &Device::flex()))
            .groups(self.n_groups)
            .noise(self.noise)
    }

    fn asked(&self) -> Assignments {
        token_choice(&self.input(), &self.scores_te, self.k)
    }

    fn fill(&self, buffers: Buffers, capacity: usize) -> Assignments {
        let claims = Claims {
            asked: &self.asked(),
            ranking_te: &self.scores_te,
            gates_te: &self.scores_te,
            capacity_g: &vec![capacity; self.n_groups],
        };
        buffers.fill(&self.input(), &claims)
    }
}

/// One group, two experts, one or two choices.
fn case(scores: &[[f32; 2]], k: usize) -> Case {
    Case {
        scores_te: scores.concat(),
        n_experts: 2,
        n_groups: 1,
        k,
        noise: None,
    }
}

#[test]
fn scores_that_are_not_numbers_pass_through() {
    let case = case(&[[f32::NAN, f32::NAN], [f32::NAN, 0.4], [0.6, 0.4]], 2);
    let buffers = Buffers {
        overflow: Overflow::NextChoice,
        ..Default::default()
    };
    let filled = case.fill(buffers, 2);
    assert_eq!(filled.experts(), [0, 1, 1, 0, 0, 1]);
    assert_eq!(filled.kept(), [true, true, true, true, false, false]);
}

#[test]
fn position_keeps_the_earliest_and_score_the_highest() {
    let case = case(&[[0.6, 0.4], [0.9, 0.1], [0.7, 0.3]], 1);
    let kept = |priority| {
        let buffers = Buffers {
            priority,
            ..Default::default()
        };
        case.fill(buffers, 1).kept().to_vec()
    };
    assert_eq!(kept(Priority::Position), [true, false, false]);
    assert_eq!(kept(Priority::Score), [false, true, false]);
    assert_eq!(kept(Priority::Random), [true, false, false]); // evaluation: by position
}

#[test]
fn first_choices_come_before_second_ones() {
    // both tokens want both experts, token 0 expert 0 first, token 1 expert 1 first; one place each
    let case = case(&[[0.6, 0.4], [0.1, 0.9]], 2);
    let kept = |order| {
        let buffers = Buffers {
            order,
            ..Default::default()
        };
        case.fill(buffers, 1).kept().to_vec()
    };
    assert_eq!(kept(FillOrder::TokenByToken), [true, true, false, false]);
    assert_eq!(kept(FillOrder::ChoiceByChoice), [true, false, true, false]);
}

#[test]
fn a_full_expert_sends_on_to_the_next_best() {
    let scores = [[0.6, 0.4], [0.9, 0.1], [0.7, 0.3]];
    let buffers = Buffers {
        overflow: Overflow::NextChoice,
        ..Default::default()
    };
    let filled = case(&scores, 1).fill(buffers, 1);
    // token 0 takes expert 0, token 1 goes on to expert 1, token 2 finds both full
    assert_eq!(filled.experts(), [0, 1, 0]);
    assert_eq!(filled.kept(), [true, true, false]);
}

#[test]
fn an_expert_of_minus_infinity_is_no_candidate() {
    let buffers = Buffers {
        overflow: Overflow::NextChoice,
        ..Default::default()
    };
    let scores = [[0.6, f32::NEG_INFINITY]; 2];
    let filled = case(&scores, 1).fill(buffers, 1);
    assert_eq!(filled.experts(), [0, 0]);
    assert_eq!(filled.kept(), [true, false]);
}

#[test]
fn random_priority_follows_the_seed() {
    let mut case = case(&[[0.9, 0.1]; 12], 1);
    let mut kept = |seed| {
        case.noise = Some(seed);
        let buffers = Buffers {
            priority: Priority::Random,
            ..Default::default()
        };
        case.fill(buffers, 3).kept().to_vec()
    };
    assert_eq!(kept(1), kept(1));
    assert!((2..10).any(|seed| kept(seed) != kept(1)));
    assert_eq!(kept(1).iter().filter(|&&kept| kept).count(), 3);
}

#[test]
fn leaks_are_told() {
    let of = |priority, order, k| {
        let buffers = Buffers {
            priority,
            order,
            overflow: Overflow::NextChoice,
        };
        let causality = buffers.causality(k);
        [causality.is_causal(), causality.is_causal_in_training()]
    };
    let (token, choice) = (FillOrder::TokenByToken, FillOrder::ChoiceByChoice);
    assert_eq!(of(Priority::Position, token, 2), [true, true]);
    assert_eq!(of(Priority::Position, choice, 1), [true, true]);
    assert_eq!(of(Priority::Position, choice, 2), [false, false]);
    assert_eq!(of(Priority::Score, token, 1), [false, false]);
    assert_eq!(of(Priority::Random, token, 2), [true, false]);
    assert_eq!(of(Priority::Random, choice, 2), [false, false]);
}

#[test]
#[should_panic(expected = "one capacity a group")]
fn a_missing_capacity_panics() {
    let case = case(&[[0.6, 0.4]], 1);
    let claims = Claims {
        asked: &case.asked(),
        ranking_te: &case.scores_te,
        gates_te: &case.scores_te,
        capacity_g: &[],
    };
    let _ = Buffers::default().fill(&case.input(), &claims);
}

fn any_priority() -> impl Strategy<Value = Priority> {
    prop_oneof![
        Just(Priority::Position),
        Just(Priority::Score),
        Just(Priority::Random)
    ]
}

fn any_order() -> impl Strategy<Value = FillOrder> {
    prop_oneof![
        Just(FillOrder::TokenByToken),
        Just(FillOrder::ChoiceByChoice)
    ]
}

fn any_buffers() -> impl Strategy<Value = Buffers> {
    let overflow = prop_oneof![Just(Overflow::Drop), Just(Overflow::NextChoice)];
    (any_priority(), any_order(), overflow).prop_map(|(priority, order, overflow)| Buffers {
        priority,
        order,
        overflow,
    })
}

/// Twelve tokens in one, two or three groups, four experts, scores with ties.
fn any_case() -> impl Strategy<Value = Case> {
    let scores = prop::collection::vec((0i32..6).prop_map(|x| x as f32 * 0.25), 48);
    let noise = prop::option::of(0u64..9);
    (scores, 1usize..4, 1usize..5, noise).prop_map(|(scores_te, n_groups, k, noise)| Case {
        scores_te,
        n_experts: 4,
        n_groups,
        k,
        noise,
    })
}

/// The kept choices of an expert in a group.
fn kept_of(filled: &Assignments, case: &Case, group: usize, expert: u32) -> Vec<usize> {
    let size = 12 / case.n_groups;
    (0..filled.len())
        .filter(|&n| filled.kept()[n] && filled.experts()[n] == expert)
        .filter(|&n| filled.tokens()[n] as usize / size == group)
        .collect()
}

proptest! {
    /// Law 6: capacity is never exceeded; assigned + dropped = T * k; no pair twice.
    #[test]
    fn buffers_hold(case in any_case(), buffers in any_buffers(), capacity in 0usize..6) {
        let filled = case.fill(buffers, capacity);
        let asked = case.asked();
        prop_assert_eq!(filled.len(), 12 * case.k);
        prop_assert_eq!(filled.tokens(), asked.tokens());
        for group in 0..case.n_groups {
            for expert in 0..4 {
                prop_assert!(kept_of(&filled, &case, group, expert).len() <= capacity);
            }
        }
        let mut pairs: Vec<_> = filled.tokens().iter().zip(filled.experts()).collect();
        pairs.sort_unstable();
        pairs.dedup();
        prop_assert_eq!(pairs.len(), 12 * case.k);
    }

    /// Law 7: a place goes to whoever comes first: an earlier choice, then the better priority.
    #[test]
    fn drops_fall_on_the_last(
        case in any_case(), priority in any_priority(), order in any_order(), capacity in 0usize..6,
    ) {
        let buffers = Buffers { priority, order, overflow: Overflow::Drop };
        let filled = case.fill(buffers, capacity);
        let best = |n: usize| {
            let t = filled.tokens()[n] as usize;
            case.scores_te[t * 4..t * 4 + 4].iter().copied().fold(f32::MIN, f32::max)
        };
        let choice = |n: usize| match order {
            FillOrder::TokenByToken => 0,
            FillOrder::ChoiceByChoice => n % case.k,
        };
        let size = 12 / case.n_groups;
        for kept in (0..filled.len()).filter(|&n| filled.kept()[n]) {
            for lost in (0..filled.len()).filter(|&n| !filled.kept()[n]) {
                let rivals = filled.experts()[kept] == filled.experts()[lost]
                    && filled.tokens()[kept] as usize / size == filled.tokens()[lost] as usize / size;
                if !rivals {
                    continue;
                }
                prop_assert!(choice(kept) <= choice(lost));
                if choice(kept) < choice(lost) {
                    continue;
                }
                match priority {
                    Priority::Position => prop_assert!(kept < lost),
                    Priority::Score => prop_assert!(
                        best(kept) > best(lost) || (best(kept) == best(lost) && kept < lost)
                    ),
                    Priority::Random => prop_assert!(case.noise.is_some() || kept < lost),
                }
            }
        }
    }

    /// Law 8: a choice is dropped only if every candidate that its token does not have is full.
    #[test]
    fn the_next_choice_drops_only_if_all_are_full(
        case in any_case(), priority in any_priority(), order in any_order(), capacity in 0usize..6,
    ) {
        let buffers = Buffers { priority, order, overflow: Overflow::NextChoice };
        let filled = case.fill(buffers, capacity);
        let size = 12 / case.n_groups;
        for lost in (0..filled.len()).filter(|&n| !filled.kept()[n]) {
            let token = filled.tokens()[lost];
            for expert in 0..4 {
                let kept = kept_of(&filled, &case, token as usize / size, expert);
                let has = kept.iter().any(|&n| filled.tokens()[n] == token);
                prop_assert!(has || kept.len() == capacity);
            }
        }
    }

    /// Law 10: raising the capacity never drops what was kept; with the next choice, a token never
    /// has fewer experts than before, as long as it claims them all at once.
    #[test]
    fn more_room_never_drops_more(
        case in any_case(), buffers in any_buffers(), capacity in 0usize..6,
    ) {
        let (less, more) = (case.fill(buffers, capacity), case.fill(buffers, capacity + 1));
        if buffers.overflow == Overflow::Drop {
            prop_assert!((0..less.len()).all(|n| !less.kept()[n] || more.kept()[n]));
        } else if buffers.order == FillOrder::TokenByToken || case.k == 1 {
            let n_kept = |filled: &Assignments, t: usize| {
                let choices = t * case.k..(t + 1) * case.k;
                choices.filter(|&n| filled.kept()[n]).count()
            };
            prop_assert!((0..12).all(|t| n_kept(&less, t) <= n_kept(&more, t)));
        }
    }
}
