//! Buffers that are filled on the device that chose the experts: the places of an expert are known without a count, so
//! nothing is read by the host.

use super::{Buffers, Claims, FillOrder, Overflow, Priority};
use crate::parts::{positions_on_device, take_best, token_choice};
use crate::{Assignments, Places, RouterInput, to_vec};
use burn::tensor::Tensor;

impl Buffers {
    /// Each token takes its `k` experts of largest score, each expert as many of a group's tokens as it has places: on
    /// the scores' device where that can be, else on the host. Both choose and drop alike.
    ///
    /// # Shapes
    ///
    /// - scores_te: `[T, E]`, by which tokens choose and are compared
    /// - capacity_g: `[G]`
    /// - output: assignments of one token after the other, `k` each
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than `k` experts, or not one capacity for each group.
    pub fn take_best(
        &self,
        input: &RouterInput,
        scores_te: &Tensor<2>,
        k: usize,
        capacity_g: &[usize],
    ) -> Assignments {
        if self.fills_on_device(input, k) {
            let asked = take_best(input, scores_te, k, None);
            return self.fill_on_device(input, asked, scores_te.dims()[1], capacity_g);
        }
        let host_te = to_vec(scores_te.clone().detach());
        let claims = Claims {
            asked: &token_choice(input, &host_te, k),
            ranking_te: &host_te,
            gates_te: &host_te,
            capacity_g,
        };
        self.fill(input, &claims)
    }

    /// Returns `true` if `k` choices of each token of the input stay on their device and can be served there: by
    /// position, without a second try, and without padding.
    pub fn fills_on_device(&self, input: &RouterInput, k: usize) -> bool {
        let by_position = match self.priority {
            Priority::Position => true,
            Priority::Random => input.noise.is_none(),
            Priority::Score => false,
        };
        input.stays_on_device
            && input.padding.is_none()
            && input.n_tokens() * k > 0
            && by_position
            && self.overflow == Overflow::Drop
    }

    /// Fills the buffers with choices that are on a device, as [`fill`](Self::fill) does with those of the host.
    ///
    /// # Panics
    ///
    /// Panics if the choices are not on a device, or if there is not one capacity for each group.
    pub fn fill_on_device(
        &self,
        input: &RouterInput,
        asked: Assignments,
        n_experts: usize,
        capacity_g: &[usize],
    ) -> Assignments {
        let (n_groups, size) = (input.n_groups, input.group_size());
        assert_eq!(capacity_g.len(), n_groups, "one capacity a group");
        let experts_tk = asked.on_device().expect("choices on a device").clone();
        let [n_tokens, k] = experts_tk.dims();
        let by_choice = self.order == FillOrder::ChoiceByChoice && k > 1;
        let served_ga = if by_choice {
            let experts_gmk = experts_tk.clone().reshape([n_groups, size, k]);
            experts_gmk.swap_dims(1, 2).reshape([n_groups, k * size])
        } else {
            experts_tk.clone().reshape([n_groups, size * k])
        };
        let (position_ga, load_ge) = positions_on_device(served_ga, n_experts);
        let position_tk = if by_choice {
            let position_gkm = position_ga.reshape([n_groups, k, size]);
            position_gkm.swap_dims(1, 2).reshape([n_tokens, k])
        } else {
            position_ga.reshape([n_tokens, k])
        };
        Assignments::chosen_on_device(experts_tk).within(Places {
            position_tk,
            // without padding all groups have the same
            capacity: capacity_g[0].min(size * k),
            n_groups,
            asked_e: load_ge.sum_dim(0).reshape([n_experts]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::top_k_rows::odd_score;
    use crate::reads;
    use burn::tensor::Device;
    use proptest::prelude::*;

    proptest! {
        /// Chosen, kept and counted as on the host, and read when somebody looks.
        #[test]
        fn fills_as_the_host_does(
            n_experts in 1usize..7,
            k in 1usize..4,
            n_groups in 1usize..4,
            size in 1usize..90,
            capacity in 0usize..40,
            by_choice in any::<bool>(),
            scores in prop::collection::vec(odd_score(), 6 * 3 * 90),
        ) {
            let k = k.min(n_experts);
            let order = if by_choice { FillOrder::ChoiceByChoice } else { FillOrder::TokenByToken };
            let buffers = Buffers { order, ..Default::default() };
            let n_tokens = n_groups * size;
            let scores_te = Tensor::<1>::from_floats(&scores[..n_tokens * n_experts], &Device::flex())
                .reshape([n_tokens, n_experts]);
            let capacity_g = vec![capacity; n_groups];
            let input = RouterInput::new(Tensor::zeros([n_tokens, 1], &Device::flex())).groups(n_groups);
            let host = buffers.take_best(&input, &scores_te, k, &capacity_g);
            let input = input.stay_on_device(true);
            let (there, read) = reads::during(|| buffers.take_best(&input, &scores_te, k, &capacity_g));
            prop_assert_eq!(read.count, 0);
            let (counts, expected) = (there.count_by_expert(n_experts), host.count_by_expert(n_experts));
            prop_assert_eq!(counts.kept, expected.kept);
            prop_assert_eq!(&counts.asked, &expected.asked);
            prop_assert_eq!(&there, &host);
            let places = there.places().expect("places of a device");
            let asked: Vec<f64> = reads::ints(places.asked_e.clone()).into_iter().map(f64::from).collect();
            prop_assert_eq!(asked, counts.asked);
        }
    }

    #[test]
    fn what_needs_the_host_stays_there() {
        let input = RouterInput::new(Tensor::zeros([4, 1], &Device::flex())).stay_on_device(true);
        let fills = |buffers: Buffers, input: &RouterInput| buffers.fills_on_device(input, 1);
        let plain = Buffers::default();
        assert!(fills(plain, &input));
        assert!(!fills(plain, &input.clone().stay_on_device(false)));
        assert!(!fills(plain, &input.clone().padding([true; 4].into())));
        let by_score = Buffers {
            priority: Priority::Score,
            ..plain
        };
        assert!(!fills(by_score, &input));
        let second_try = Buffers {
            overflow: Overflow::NextChoice,
            ..plain
        };
        assert!(!fills(second_try, &input));
        let random = Buffers {
            priority: Priority::Random,
            ..plain
        };
        assert!(fills(random, &input) && !fills(random, &input.noise(Some(1))));
    }
}
