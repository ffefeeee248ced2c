//! The choice of experts on a device, without reading the scores: rounds of the largest and, of equals, the lowest index.
//!
//! Sorts of devices are not stable, so equal scores would fall otherwise from device to device. A round is a few elementwise
//! operations and reductions of `[T, E]`, whose results do not depend on the order of their parts: so the choice is that of
//! [`top_k`](super::top_k()) to the last expert, on every device.

use super::{ExpertGroups, GroupScore};
use burn::tensor::{Bool, DType, Device, Int, Tensor};

/// The choices that are summed up by one product.
const BLOCK: usize = 256;

/// The indices of the `k` largest scores of each row, largest first; of equal scores the lowest index wins. Not-a-number
/// counts as the smallest of all.
///
/// # Shapes
///
/// - scores_te: `[T, E]`, not tracked
/// - output: `[T, K]`
///
/// # Panics
///
/// Panics if `k` is zero or larger than the number of scores.
pub fn top_k_on_device(scores_te: Tensor<2>, k: usize) -> Tensor<2, Int> {
    let [n_rows, n_scores] = scores_te.dims();
    assert!(
        0 < k && k <= n_scores,
        "the {k} largest of {n_scores} scores do not exist"
    );
    let places_te = Tensor::<1, Int>::arange(0..n_scores as i64, &scores_te.device())
        .reshape([1, n_scores])
        .expand([n_rows, n_scores]);
    let is_nan = scores_te.clone().is_nan();
    let mut rest_te = scores_te.mask_fill(is_nan, f32::NEG_INFINITY);
    let mut is_taken: Option<Tensor<2, Bool>> = None;
    let mut best = Vec::with_capacity(k);
    for _ in 0..k {
        let largest_te = rest_te.clone().max_dim(1).expand([n_rows, n_scores]);
        // what was taken is minus infinity, and so may others be
        let is_other = rest_te.clone().not_equal(largest_te);
        let is_out = match &is_taken {
            Some(is_taken) => is_other.bool_or(is_taken.clone()),
            None => is_other,
        };
        let place_t1 = places_te
            .clone()
            .mask_fill(is_out, n_scores as i64)
            .min_dim(1);
        let is_here = places_te
            .clone()
            .equal(place_t1.clone().expand([n_rows, n_scores]));
        rest_te = rest_te.mask_fill(is_here.clone(), f32::NEG_INFINITY);
        is_taken = Some(match is_taken {
            Some(is_taken) => is_taken.bool_or(is_here),
            None => is_here,
        });
        best.push(place_t1);
    }
    Tensor::cat(best, 1)
}

/// For each choice of a group the number of choices of the same expert before it, and the choices of each expert.
///
/// A device has no fast running sum of integers: these are products of the one-hot choices with a triangle of ones, which
/// are exact in f32.
///
/// # Shapes
///
/// - experts_ga: `[G, A]`
/// - output: `[G, A]` and `[G, E]`
///
/// # Panics
///
/// Panics if there is no choice.
pub fn positions_on_device(
    experts_ga: Tensor<2, Int>,
    n_experts: usize,
) -> (Tensor<2, Int>, Tensor<2, Int>) {
    let [n_groups, n] = experts_ga.dims();
    assert!(n_groups * n > 0, "no choice has no position");
    let device = experts_ga.device();
    let block = BLOCK.min(n);
    let n_blocks = n.div_ceil(block);
    let shape = [n_groups, n, n_experts];
    let of_expert =
        Tensor::<1, Int>::arange(0..n_experts as i64, &device).reshape([1, 1, n_experts]);
    let chosen_gae = experts_ga
        .reshape([n_groups, n, 1])
        .expand(shape)
        .equal(of_expert.expand(shape))
        .float()
        .cast(DType::F32);
    let place = (&device, DType::F32);
    let filling = n_blocks * block - n;
    let chosen = if filling == 0 {
        chosen_gae
    } else {
        let none = Tensor::zeros([n_groups, filling, n_experts], place);
        Tensor::cat(vec![chosen_gae, none], 1)
    };
    let chosen = chosen.reshape([n_groups * n_blocks, block, n_experts]);
    let within = triangle(block, 0, n_groups * n_blocks, place).matmul(chosen.clone());
    let of_block = within.clone().narrow(1, block - 1, 1);
    let of_block = of_block.reshape([n_groups, n_blocks, n_experts]);
    let before = triangle(n_blocks, -1, n_groups, place).matmul(of_block.clone());
    let before = before.reshape([n_groups * n_blocks, 1, n_experts]);
    let position = ((within + before) * chosen).sum_dim(2);
    let position_ga = position
        .reshape([n_groups, n_blocks * block])
        .narrow(1, 0, n)
        - 1.0;
    let load_ge = of_block.sum_dim(1).reshape([n_groups, n_experts]);
    (position_ga.int(), load_ge.int())
}

/// Ones at and below a diagonal, `[n, size, size]`.
fn triangle(size: usize, diagonal: i64, n: usize, place: (&Device, DType)) -> Tensor<3> {
    let ones = Tensor::<2>::ones([size, size], place).tril(diagonal);
    ones.unsqueeze_dim::<3>(0).expand([n, size, size])
}

impl ExpertGroups {
    /// As [`mask`](Self::mask), on the scores' device.
    ///
    /// # Shapes
    ///
    /// - scores_te: `[T, E]`, not tracked
    /// - output: `[T, E]`
    ///
    /// # Panics
    ///
    /// As [`mask`](Self::mask).
    pub fn mask_on_device(&self, scores_te: Tensor<2>) -> Tensor<2> {
        let [n_tokens, n_experts] = scores_te.dims();
        let group_len = self.group_len(n_experts);
        if self.n_groups == self.topk_groups {
            return scores_te;
        }
        let is_nan = scores_te.clone().is_nan();
        let scores_te = scores_te.mask_fill(is_nan, f32::NEG_INFINITY);
        let scores_gl = scores_te
            .clone()
            .reshape([n_tokens * self.n_groups, group_len]);
        let n_summed = match self.score {
            GroupScore::Max => 1,
            GroupScore::TopTwoSum => group_len.min(2),
        };
        let best_gl = top_k_on_device(scores_gl.clone(), n_summed);
        let of_groups_tg = scores_gl
            .gather(1, best_gl)
            .sum_dim(1)
            .reshape([n_tokens, self.n_groups]);
        let chosen = top_k_on_device(of_groups_tg, self.topk_groups);
        let group_te = Tensor::<1, Int>::arange(0..n_experts as i64, &scores_te.device())
            .div_scalar(group_len as i64)
            .reshape([1, n_experts])
            .expand([n_tokens, n_experts]);
        let is_in = |i: usize| {
            let group_t1 = chosen.clone().narrow(1, i, 1);
            group_te
                .clone()
                .equal(group_t1.expand([n_tokens, n_experts]))
        };
        let is_allowed = (1..self.topk_groups).fold(is_in(0), |any, i| any.bool_or(is_in(i)));
        scores_te.mask_fill(is_allowed.bool_not(), f32::NEG_INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::top_k;
    use crate::parts::top_k_rows::odd_score;
    use crate::{reads, to_vec};
    use proptest::prelude::*;

    proptest! {
        /// The choice is the host's, ties and infinities and what is not a number included.
        #[test]
        fn equals_the_choice_of_the_host(
            n_experts in 1usize..13,
            k in 1usize..13,
            scores in prop::collection::vec(odd_score(), 12 * 5),
        ) {
            let k = k.min(n_experts);
            let scores = &scores[..n_experts * 5];
            let scores_te = Tensor::<1>::from_floats(scores, &Device::flex()).reshape([5, n_experts]);
            let chosen = reads::ints(top_k_on_device(scores_te, k));
            let host: Vec<u32> = scores.chunks(n_experts).flat_map(|row| top_k(row, k)).collect();
            prop_assert_eq!(chosen, host);
        }

        #[test]
        fn groups_are_masked_as_on_the_host(
            scores in prop::collection::vec(odd_score(), 12 * 3),
            topk_groups in 1usize..=4,
            by_sum in any::<bool>(),
        ) {
            let score = if by_sum { GroupScore::TopTwoSum } else { GroupScore::Max };
            let groups = ExpertGroups { n_groups: 4, topk_groups, score };
            let scores_te = Tensor::<1>::from_floats(&scores[..], &Device::flex()).reshape([3, 12]);
            let masked = to_vec(groups.mask_on_device(scores_te));
            let mut host = scores;
            groups.mask(&mut host, 12);
            // what is not a number counts as minus infinity in both
            let ranked = |x: f32| if x.is_nan() { f32::NEG_INFINITY } else { x };
            let host: Vec<f32> = host.into_iter().map(ranked).collect();
            prop_assert_eq!(masked.into_iter().map(ranked).collect::<Vec<_>>(), host);
        }
    }

    #[test]
    #[should_panic(expected = "the 3 largest of 2 scores")]
    fn more_than_there_are_panics() {
        let _ = top_k_on_device(Tensor::zeros([1, 2], &Device::flex()), 3);
    }
}
