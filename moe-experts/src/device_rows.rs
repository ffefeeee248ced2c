//! The layout of rows by expert, computed on the device that chose the experts.
//!
//! Each expert has a block of `C` places, `C` being the largest load. The place of assignment `a` is
//! `C e_a + (the assignments of expert e_a before a)`, so the order within an expert is that of the assignments, as in a
//! [`RowPlan`](crate::RowPlan). The count before `a` is a running sum over the one-hot choices: by products with a
//! triangle of ones, which are exact in f32, since a device has no fast running sum of integers. One thing is read by the
//! host: the load of each expert, `[E]`.

use crate::grouped::STEP;
use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor};
use moe_router::{Assignments, reads};

/// The assignments that are summed up by one product.
const BLOCK: usize = 256;

/// The most places, in multiples of the assignments: beyond, empty places and matrices that nobody needs cost more than a
/// read of the list. So the few tokens of a decoding step are planned on the host.
const MOST_PLACES: usize = 3;

/// Rows that were planned on a device.
#[derive(Debug, Clone)]
pub(crate) struct DeviceRows {
    /// The place of each assignment, `[A]`.
    pub(crate) places_a: Tensor<1, Int>,
    /// The assignment of each place, `[P]`; A where it is empty.
    pub(crate) assignments_p: Tensor<1, Int>,
    /// The sizes.
    pub(crate) shape: DeviceShape,
}

/// Sizes of a layout on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceShape {
    /// The number of tokens T.
    pub n_tokens: usize,
    /// The number of experts a token K.
    pub k: usize,
    /// The number of experts E.
    pub n_experts: usize,
    /// The number of places of an expert C.
    pub height: usize,
}

impl DeviceRows {
    /// The layout of choices that are on a device, all of which are kept; none of a list that is on the host, and none
    /// where one expert has so many tokens that most places would be empty.
    pub(crate) fn new(assignments: &Assignments, n_experts: usize) -> Option<Self> {
        let experts_tk = assignments.on_device()?.clone();
        let [n_tokens, k] = experts_tk.dims();
        let n = n_tokens * k;
        // so few that the lowest blocks are too many, whatever the loads
        if n_experts * STEP > MOST_PLACES * n {
            return None;
        }
        let experts_a = experts_tk.reshape([n]);
        let (position_a, load_e) = positions(experts_a.clone(), n_experts);
        let load = reads::ints(load_e);
        let height = load.iter().max().map_or(0, |&most| most as usize);
        let height = height.next_multiple_of(STEP);
        assignments.note_counts(load);
        let n_places = n_experts * height;
        if n_places > MOST_PLACES * n {
            return None;
        }
        let places_a = experts_a.mul_scalar(height as i64) + position_a;
        let device = places_a.device();
        let empty = Tensor::<1, Int>::full([n_places], n as i64, &device);
        let assignments_p = empty.scatter_nd(
            places_a.clone().reshape([n, 1]),
            Tensor::<1, Int>::arange(0..n as i64, &device),
            IndexingUpdateOp::Assign,
        );
        Some(Self {
            places_a,
            assignments_p,
            shape: DeviceShape {
                n_tokens,
                k,
                n_experts,
                height,
            },
        })
    }
}

/// The number of assignments of the same expert before each one `[A]`, and the load of each expert `[E]`.
fn positions(experts_a: Tensor<1, Int>, n_experts: usize) -> (Tensor<1, Int>, Tensor<1, Int>) {
    let [n] = experts_a.dims();
    let device = experts_a.device();
    let block = BLOCK.min(n);
    let n_blocks = n.div_ceil(block);
    let of_expert = Tensor::<1, Int>::arange(0..n_experts as i64, &device).reshape([1, n_experts]);
    let chosen_ae = experts_a
        .reshape([n, 1])
        .expand([n, n_experts])
        .equal(of_expert.expand([n, n_experts]))
        .float()
        .cast(DType::F32);
    let place = (&device, DType::F32);
    let filling = n_blocks * block - n;
    let chosen = if filling == 0 {
        chosen_ae
    } else {
        Tensor::cat(
            vec![chosen_ae, Tensor::zeros([filling, n_experts], place)],
            0,
        )
    };
    let chosen_bae = chosen.reshape([n_blocks, block, n_experts]);
    let ones = |size| Tensor::<2>::ones([size, size], place);
    let until = ones(block).tril(0).unsqueeze_dim::<3>(0);
    let until = until.expand([n_blocks, block, block]);
    let within_bae = until.matmul(chosen_bae.clone());
    let of_block = within_bae.clone().narrow(1, block - 1, 1);
    let of_block = of_block.reshape([n_blocks, n_experts]);
    let before = ones(n_blocks).tril(-1).matmul(of_block.clone());
    let before = before.unsqueeze_dim::<3>(1);
    let position = ((within_bae + before) * chosen_bae).sum_dim(2);
    let position_a = position.reshape([n_blocks * block]).narrow(0, 0, n) - 1.0;
    let load_e = of_block.sum_dim(0).reshape([n_experts]);
    (position_a.int(), load_e.int())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RowPlan;
    use burn::tensor::Device;
    use proptest::prelude::*;

    /// The layout, and the number of reads.
    fn planned(experts: &[u32], k: usize, n_experts: usize) -> (Option<DeviceRows>, u64) {
        let ids: Vec<i32> = experts.iter().map(|&e| e as i32).collect();
        let chosen = Tensor::<1, Int>::from_ints(&ids[..], &Device::flex());
        let assignments = Assignments::chosen_on_device(chosen.reshape([ids.len() / k, k]));
        let (rows, read) = reads::during(|| DeviceRows::new(&assignments, n_experts));
        (rows, read.count)
    }

    #[test]
    fn an_expert_has_its_assignments_in_order() {
        // expert 1 has the assignments 0, 2, 4 and 5, expert 0 has 1 and 3; 8 places each
        let (rows, n_reads) = planned(&[1, 0, 1, 0, 1, 1], 2, 2);
        let rows = rows.expect("a layout");
        assert_eq!(n_reads, 1);
        assert_eq!(reads::ints(rows.places_a), [8, 0, 9, 1, 10, 11]);
        let mut expected = [6; 16];
        for (place, a) in [(0, 1), (1, 3), (8, 0), (9, 2), (10, 4), (11, 5)] {
            expected[place] = a;
        }
        assert_eq!(reads::ints(rows.assignments_p), expected);
    }

    #[test]
    fn a_load_that_leaves_most_places_empty_has_no_layout() {
        // one of 16 experts has all 64 assignments: 16 times 64 places
        let (rows, n_reads) = planned(&[3; 64], 1, 16);
        assert!(rows.is_none() && n_reads == 1);
        // one token for 8 of 64 experts: at least 64 times 8 places, 56 of whose matrices nobody needs
        let (rows, n_reads) = planned(&[0, 9, 18, 27, 36, 45, 54, 63], 8, 64);
        assert!(rows.is_none() && n_reads == 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn places_are_those_of_the_host(
            n_experts in 1u32..9,
            picks in prop::collection::vec(any::<u32>(), 1..700),
        ) {
            let experts: Vec<u32> = picks.iter().map(|p| p % n_experts).collect();
            let tokens: Vec<u32> = (0..experts.len() as u32).collect();
            let plan = RowPlan::new(
                &tokens, &experts, &vec![true; experts.len()], tokens.len(), n_experts as usize,
            );
            let (Some(rows), n_reads) = planned(&experts, 1, n_experts as usize) else {
                return Ok(());
            };
            prop_assert_eq!(n_reads, 1);
            let height = rows.shape.height;
            let places = reads::ints(rows.places_a);
            for expert in 0..n_experts as usize {
                for (i, row) in plan.rows_of_expert(expert).enumerate() {
                    let a = plan.rows_assignment()[row] as usize;
                    prop_assert_eq!(places[a] as usize, expert * height + i);
                }
            }
            for (place, a) in reads::ints(rows.assignments_p).into_iter().enumerate() {
                if (a as usize) < experts.len() {
                    prop_assert_eq!(places[a as usize] as usize, place);
                }
            }
        }
    }
}
