//! Rules that select experts by their scores.

use super::{ExpertGroups, top_k, top_k_of_rows, top_k_on_device};
use crate::{Assignments, RouterInput, to_vec};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Rules of choice: the experts that a token takes.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// Experts of the `top_k` largest scores.
    #[default]
    TopK,
    /// Experts of the `top_k` largest scores within its `topk_groups` best groups of experts.
    GroupLimited,
    /// The fewest whose share of the scores is at least `top_p`.
    TopP,
    /// Experts of scores above `threshold`; a token may get none.
    Threshold,
    /// Experts of positive scores; a token may get none.
    Positive,
    /// Experts take tokens, as many as their capacity, and not the other way round.
    ExpertChoice,
}

/// Each token takes its `k` experts of largest score, of its best groups of experts if they are limited: on the scores'
/// device if the input [says so](RouterInput::stays_on_device) and has no padding, else on the host. Both choose alike.
///
/// # Shapes
///
/// - scores_te: `[T, E]`
/// - output: assignments of one token after the other, `k` each
///
/// # Panics
///
/// Panics if there are fewer than `k` experts, or as [`ExpertGroups::mask`] does.
pub fn take_best(
    input: &RouterInput,
    scores_te: &Tensor<2>,
    k: usize,
    groups: Option<&ExpertGroups>,
) -> Assignments {
    let [n_tokens, n_experts] = scores_te.dims();
    let mut scores_te = scores_te.clone().detach();
    if input.stays_on_device && input.padding.is_none() && n_tokens * k > 0 {
        if let Some(groups) = groups {
            scores_te = groups.mask_on_device(scores_te);
        }
        return Assignments::chosen_on_device(top_k_on_device(scores_te, k));
    }
    let mut scores_te = to_vec(scores_te);
    if let Some(groups) = groups {
        groups.mask(&mut scores_te, n_experts);
    }
    token_choice(input, &scores_te, k)
}

/// Each token takes its `k` experts of largest score, in order of score; padding takes none.
///
/// # Shapes
///
/// - scores_te: `[T, E]`, row by row
/// - output: assignments of one token after the other, `k` each
///
/// # Panics
///
/// Panics if there are fewer than `k` experts.
pub fn token_choice(input: &RouterInput, scores_te: &[f32], k: usize) -> Assignments {
    let n_tokens = input.n_tokens();
    let n_experts = scores_te.len() / n_tokens.max(1);
    let best_tk = top_k_of_rows(scores_te, n_experts, k);
    if input.padding.is_none() {
        return Assignments::of_each_token(best_tk, k);
    }
    let mut assignments = Assignments::with_capacity(n_tokens * k);
    for (t, best_k) in best_tk.chunks(k.max(1)).enumerate() {
        if !input.is_padding(t) {
            best_k.iter().for_each(|&e| assignments.push(t as u32, e));
        }
    }
    assignments
}

/// Each token takes the smallest set of its most probable experts whose probabilities sum to at least
/// `p`, in order of probability. Experts of no probability are never taken, so a token that has no other
/// gets none; padding takes none. From a `p` of 1 on every expert of some probability is taken.
///
/// Probabilities are f32, and two of 0.25 may miss 0.5 by rounding: what is within a millionth of `p` is
/// enough, but for a `p` of 1.
///
/// # Shapes
///
/// - probs_te: `[T, E]`, row by row, each row summing to 1
/// - output: assignments of one token after the other
pub fn top_p(input: &RouterInput, probs_te: &[f32], p: f64) -> Assignments {
    choose(input, probs_te, |probs_e| {
        let mut best = top_k(probs_e, probs_e.len());
        // what is not a number stays, to be seen in the loss
        best.retain(|&e| probs_e[e as usize] != 0.0);
        let mut mass = 0.0;
        let enough = best.iter().position(|&e| {
            mass += f64::from(probs_e[e as usize]);
            p < 1.0 && mass >= p - 1e-6
        });
        best.truncate(enough.map_or(best.len(), |last| last + 1));
        best
    })
}

/// Each token takes the experts whose score is above their threshold, in order of score; a token may
/// get none, and padding takes none. A threshold of zero selects the positive scores of a ReLU.
///
/// # Shapes
///
/// - scores_te: `[T, E]`, row by row
/// - output: assignments of one token after the other
pub fn above(
    input: &RouterInput,
    scores_te: &[f32],
    threshold: impl Fn(usize) -> f32,
) -> Assignments {
    choose(input, scores_te, |scores_e| {
        let mut best = top_k(scores_e, scores_e.len());
        best.retain(|&e| scores_e[e as usize] > threshold(e as usize));
        best
    })
}

/// Each expert takes the tokens of a group that score highest for it, as many as its capacity; padding
/// goes to none.
///
/// # Shapes
///
/// - scores_te: `[T, E]`, row by row
/// - capacity_g: `[G]`
/// - output: assignments of one group after the other, within it of one expert after the other
///
/// # Panics
///
/// Panics if there is not one capacity for each group.
pub fn expert_choice(
    input: &RouterInput,
    scores_te: &[f32],
    n_experts: usize,
    capacity_g: &[usize],
) -> Assignments {
    assert_eq!(capacity_g.len(), input.n_groups, "one capacity a group");
    let mut assignments = Assignments::default();
    for (group, &capacity) in capacity_g.iter().enumerate() {
        let first = group * input.group_size();
        let tokens: Vec<usize> = (first..first + input.group_size())
            .filter(|&t| !input.is_padding(t))
            .collect();
        for expert in 0..n_experts {
            let scores: Vec<f32> = tokens
                .iter()
                .map(|&t| scores_te[t * n_experts + expert])
                .collect();
            // tokens are in order of position, so of equal scores the earlier token wins
            for chosen in top_k(&scores, capacity.min(tokens.len())) {
                assignments.push(tokens[chosen as usize] as u32, expert as u32);
            }
        }
    }
    assignments
}

/// The experts that `of` chooses for each token that is not padding.
fn choose(input: &RouterInput, scores_te: &[f32], of: impl Fn(&[f32]) -> Vec<u32>) -> Assignments {
    let n_experts = scores_te.len() / input.n_tokens().max(1);
    let mut assignments = Assignments::default();
    for (t, scores_e) in scores_te.chunks(n_experts.max(1)).enumerate() {
        if !input.is_padding(t) {
            of(scores_e)
                .into_iter()
                .for_each(|expert| assignments.push(t as u32, expert));
        }
    }
    assignments
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};

    #[test]
    fn tokens_choose_in_order_of_score_and_padding_does_not_choose() {
        let input = RouterInput::new(Tensor::zeros([3, 1], &Device::flex()))
            .padding([false, true, false].into());
        let scores = [0.1, 0.7, 0.2, 9.0, 9.0, 9.0, 0.5, 0.1, 0.4];
        let assignments = token_choice(&input, &scores, 2);

        assert_eq!(assignments.tokens(), [0, 0, 2, 2]);
        assert_eq!(assignments.experts(), [1, 2, 0, 2]);
    }

    fn input(n_tokens: usize) -> RouterInput {
        RouterInput::new(Tensor::zeros([n_tokens, 1], &Device::flex()))
    }

    fn experts(assignments: &Assignments, token: u32) -> Vec<u32> {
        let pairs = assignments.tokens().iter().zip(assignments.experts());
        pairs
            .filter(|&(&t, _)| t == token)
            .map(|(_, &e)| e)
            .collect()
    }

    #[test]
    fn the_smallest_set_of_enough_mass_is_taken() {
        let probs = [0.5, 0.25, 0.25, 0.125, 0.75, 0.125, 0.25, 0.5, 0.25];
        let of = |p| {
            let chosen = top_p(&input(3), &probs, p);
            [0, 1, 2].map(|t| experts(&chosen, t))
        };
        assert_eq!(of(0.0), [vec![0], vec![1], vec![1]]); // never none
        assert_eq!(of(0.75), [vec![0, 1], vec![1], vec![1, 0]]); // 0.5 + 0.25 is just enough
        assert_eq!(of(1.5), [vec![0, 1, 2], vec![1, 0, 2], vec![1, 0, 2]]); // all there are
    }

    #[test]
    fn a_share_of_all_is_every_expert_of_some_probability() {
        // 0.9999995 is enough for 0.9999999 and not for 1; 0.1 + 0.2 is enough for 0.30000001
        let probs = [0.9999995, 5e-7, 0.0, 0.7, 0.2, 0.1, 0.0, 0.0, 0.0];
        let of = |p| {
            let chosen = top_p(&input(3), &probs, p);
            [0, 1, 2].map(|t| experts(&chosen, t))
        };
        assert_eq!(of(1.0), [vec![0, 1], vec![0, 1, 2], vec![]]);
        assert_eq!(of(0.999_999_9), [vec![0], vec![0, 1, 2], vec![]]);
        assert_eq!(of(0.900_000_01), [vec![0], vec![0, 1], vec![]]);
    }

    #[test]
    fn experts_above_their_threshold_are_taken() {
        let scores = [0.5, 0.2, 0.0, -0.1, 0.0, 0.3];
        let positive = above(&input(3), &scores, |_| 0.0);
        assert_eq!(
            [0, 1, 2].map(|t| experts(&positive, t)),
            [vec![0, 1], vec![], vec![1]]
        );
        let own = above(&input(3), &scores, |e| [0.5, -1.0][e]);
        assert_eq!(
            [0, 1, 2].map(|t| experts(&own, t)),
            [vec![1], vec![1], vec![1]]
        );
    }

    #[test]
    fn experts_choose_within_groups_and_leave_padding() {
        let scores = [0.1, 0.9, 0.8, 0.2, 0.7, 0.7, 0.3, 0.4];
        let input = input(4)
            .groups(2)
            .padding([false, false, true, false].into());
        let chosen = expert_choice(&input, &scores, 2, &[1, 1]);
        assert_eq!(chosen.tokens(), [1, 0, 3, 3]);
        assert_eq!(chosen.experts(), [0, 1, 0, 1]);
    }
}
