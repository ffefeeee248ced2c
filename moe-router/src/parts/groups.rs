//! Groups of experts, and the choice limited to some of them.

use super::top_k_into;
use crate::RouterError;
use serde::{Deserialize, Serialize};

/// Functions from the scores of experts to the score of their group.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum GroupScore {
    /// The largest (DeepSeek-V2, arXiv 2405.04434, section 2.2.2).
    #[default]
    Max,
    /// The sum of the two largest (DeepSeek-V3, arXiv 2412.19437, section 2.1.2).
    TopTwoSum,
}

/// Experts in groups of equal size and consecutive indices, of which a token may use a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertGroups {
    /// The number of groups.
    pub n_groups: usize,
    /// The number of groups that a token may use.
    pub topk_groups: usize,
    /// Score of a group.
    pub score: GroupScore,
}

impl ExpertGroups {
    /// Checks that the groups divide the experts and that `top_k` experts fit into the chosen groups.
    ///
    /// # Errors
    ///
    /// Returns the keys that do not fit together, and what to do.
    pub fn validate(&self, top_k: usize, n_experts: usize) -> Result<(), RouterError> {
        let (groups, chosen) = (self.n_groups, self.topk_groups);
        if groups == 0 || !n_experts.is_multiple_of(groups) {
            return Err(RouterError::Groups(format!(
                "router.n_groups = {groups} does not divide experts.n_experts = {n_experts}"
            )));
        }
        if chosen == 0 || chosen > groups {
            return Err(RouterError::Groups(format!(
                "router.topk_groups = {chosen} must be from 1 to router.n_groups = {groups}"
            )));
        }
        let room = chosen * (n_experts / groups);
        if top_k > room {
            return Err(RouterError::Groups(format!(
                "router.top_k = {top_k} is more than the {room} experts of {chosen} groups: raise router.topk_groups or lower router.top_k"
            )));
        }
        Ok(())
    }

    /// The number of experts of a group.
    ///
    /// # Panics
    ///
    /// Panics if the groups do not divide the experts.
    pub fn group_len(&self, n_experts: usize) -> usize {
        assert!(
            self.n_groups > 0 && n_experts > 0 && n_experts.is_multiple_of(self.n_groups),
            "{} groups do not divide {n_experts} experts",
            self.n_groups
        );
        n_experts / self.n_groups
    }

    /// Sets the scores of experts outside each token's best groups to minus infinity; of equal groups
    /// the lowest index wins.
    ///
    /// Differs from the published modelling code of DeepSeek, which fills with zero and so lets masked
    /// experts win where the allowed scores are negative.
    ///
    /// # Shapes
    ///
    /// - scores_te: `[T, E]`, row by row
    ///
    /// # Panics
    ///
    /// Panics if the groups do not divide the experts, or if more groups are chosen than there are.
    pub fn mask(&self, scores_te: &mut [f32], n_experts: usize) {
        let group_len = self.group_len(n_experts);
        if self.n_groups == self.topk_groups {
            return;
        }
        let mut group_scores = vec![0.0; self.n_groups];
        let mut chosen = vec![0; self.topk_groups];
        for scores_e in scores_te.chunks_mut(n_experts) {
            for (score, group) in group_scores.iter_mut().zip(scores_e.chunks(group_len)) {
                *score = self.score.of(group);
            }
            top_k_into(&group_scores, &mut chosen);
            for (g, group) in (0..).zip(scores_e.chunks_mut(group_len)) {
                if !chosen.contains(&g) {
                    group.fill(f32::NEG_INFINITY);
                }
            }
        }
    }
}

impl GroupScore {
    /// The score of a group of experts. The only score of a group of one is its sum too.
    pub fn of(self, group: &[f32]) -> f32 {
        let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
        for &score in group {
            // false for what is not a number, which so counts as the least, as in `top_k`
            if score > first {
                second = first;
                first = score;
            } else if score > second {
                second = score;
            }
        }
        match self {
            GroupScore::TopTwoSum if group.len() > 1 => first + second,
            _ => first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INF: f32 = f32::INFINITY;

    fn groups(score: GroupScore) -> ExpertGroups {
        ExpertGroups {
            n_groups: 2,
            topk_groups: 1,
            score,
        }
    }

    #[test]
    fn the_two_scores_choose_differently() {
        // maxima 0.9 and 0.6; sums of two 0.9 + 0.0 and 0.6 + 0.5
        let scores = [0.9, 0.0, 0.6, 0.5];
        let mut by_max = scores;
        groups(GroupScore::Max).mask(&mut by_max, 4);
        assert_eq!(by_max, [0.9, 0.0, -INF, -INF]);
        let mut by_sum = scores;
        groups(GroupScore::TopTwoSum).mask(&mut by_sum, 4);
        assert_eq!(by_sum, [-INF, -INF, 0.6, 0.5]);
    }

    #[test]
    fn negative_scores_stay_and_equal_groups_go_to_the_lowest() {
        let mut scores = [-3.0, -1.0, -1.0, -3.0];
        groups(GroupScore::Max).mask(&mut scores, 4);
        assert_eq!(scores, [-3.0, -1.0, -INF, -INF]);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let groups = |n_groups, topk_groups| ExpertGroups {
            n_groups,
            topk_groups,
            score: GroupScore::Max,
        };
        assert!(groups(4, 2).validate(4, 8).is_ok());
        assert!(groups(3, 1).validate(1, 8).is_err()); // 3 does not divide 8
        assert!(groups(4, 0).validate(1, 8).is_err());
        assert!(groups(4, 5).validate(1, 8).is_err());
        assert!(groups(4, 1).validate(3, 8).is_err()); // a group has 2 experts
    }

    #[test]
    #[should_panic(expected = "3 groups do not divide 4 experts")]
    fn groups_that_do_not_divide_panic() {
        let groups = ExpertGroups {
            n_groups: 3,
            ..groups(GroupScore::Max)
        };
        groups.mask(&mut [0.0; 4], 4);
    }

    proptest! {
        /// Law 12: the selection equals brute force over the sets of groups, and the rest is masked.
        #[test]
        fn equals_brute_force(
            scores in prop::collection::vec((-4i32..4).prop_map(|x| x as f32 * 0.5), 12),
            topk_groups in 1usize..=4,
            by_sum in any::<bool>(),
        ) {
            let score = if by_sum { GroupScore::TopTwoSum } else { GroupScore::Max };
            let groups = ExpertGroups { n_groups: 4, topk_groups, score };
            let mut masked = scores.clone();
            groups.mask(&mut masked, 12);

            let mut order: Vec<usize> = (0..4).collect();
            let value = |g: usize| {
                let mut group = scores[g * 3..g * 3 + 3].to_vec();
                group.sort_by(|a, b| b.total_cmp(a));
                if by_sum { group[0] + group[1] } else { group[0] }
            };
            order.sort_by(|&a, &b| value(b).total_cmp(&value(a)));
            for e in 0..12 {
                let allowed = order[..topk_groups].contains(&(e / 3));
                prop_assert_eq!(masked[e], if allowed { scores[e] } else { -INF });
            }
        }
    }
}
