//! The layout of rows by expert, computed on the device that chose the experts.
//!
//! Each expert has a block of places, and within it the order is that of the assignments, as in a
//! [`RowPlan`](crate::RowPlan). Without a limit the host reads one thing: the load of each expert, `[E]`. Blocks are as
//! high as the largest load; where that would leave most places empty, they are divided as those of the host are
//! ([`Blocks::padded`]). Where a capacity limits an expert, its block has the places of its buffers, one group's after
//! another's, and nothing is read at all.

use crate::grouped::{Blocks, STEP};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};
use moe_router::parts::positions_on_device;
use moe_router::{Assignments, Places, reads};
use std::sync::Arc;

/// The most places, in multiples of the assignments: beyond, empty places and matrices that nobody needs cost more than
/// what saves them. So the few tokens of a decoding step are planned on the host.
const MOST_PLACES: usize = 3;

/// Rows that were planned on a device.
#[derive(Debug, Clone)]
pub(crate) struct DeviceRows {
    /// The place of each assignment, `[A]`; P where it has none.
    pub(crate) places_a: Tensor<1, Int>,
    /// The assignment of each place, `[P]`; A where it is empty.
    pub(crate) assignments_p: Tensor<1, Int>,
    /// The sizes.
    pub(crate) shape: DeviceShape,
}

/// Sizes of a layout on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceShape {
    /// The number of tokens T.
    pub n_tokens: usize,
    /// The number of experts a token K.
    pub k: usize,
    /// True if assignments may have no place; theirs is behind the last.
    pub has_drops: bool,
    /// The products over the places P, whose rows the device alone knows.
    pub blocks: Arc<Blocks>,
}

impl DeviceRows {
    /// The layout of choices that are on a device; none of a list that is on the host, and none of so few tokens, or so
    /// wide buffers, that most places would be empty.
    pub(crate) fn new(assignments: &Assignments, n_experts: usize) -> Option<Self> {
        let experts_tk = assignments.on_device()?.clone();
        let [n_tokens, k] = experts_tk.dims();
        let n = n_tokens * k;
        // so few that the lowest blocks are too many, whatever the loads
        if n_experts * STEP > MOST_PLACES * n {
            return None;
        }
        let experts_a = experts_tk.reshape([n]);
        let (places_a, blocks) = match assignments.places() {
            Some(places) => in_buffers(experts_a, places, n_experts)?,
            None => by_load(experts_a, assignments, n_experts),
        };
        let (n_places, device) = (blocks.n_places(), places_a.device());
        // one place more for all that have none
        let empty = Tensor::<1, Int>::full([n_places + 1], n as i64, &device);
        let assignments_p = empty.scatter_nd(
            places_a.clone().reshape([n, 1]),
            Tensor::<1, Int>::arange(0..n as i64, &device),
            IndexingUpdateOp::Assign,
        );
        Some(Self {
            places_a,
            assignments_p: assignments_p.narrow(0, 0, n_places),
            shape: DeviceShape {
                n_tokens,
                k,
                has_drops: assignments.places().is_some(),
                blocks: Arc::new(blocks),
            },
        })
    }
}

/// The place of each assignment `[A]` in the buffers of its expert, P if it has none.
fn in_buffers(
    experts_a: Tensor<1, Int>,
    places: &Places,
    n_experts: usize,
) -> Option<(Tensor<1, Int>, Blocks)> {
    let [n] = experts_a.dims();
    let height = (places.n_groups * places.capacity).next_multiple_of(STEP);
    let n_places = n_experts * height;
    if n_places == 0 || n_places > MOST_PLACES * n {
        return None;
    }
    let position_a = places.position_tk.clone().reshape([n]);
    let is_full = position_a
        .clone()
        .greater_equal_elem(places.capacity as i64);
    let of_group = (n / places.n_groups) as i64;
    let first_a = Tensor::<1, Int>::arange(0..n as i64, &experts_a.device())
        .div_scalar(of_group)
        .mul_scalar(places.capacity as i64);
    let places_a = experts_a.mul_scalar(height as i64) + first_a + position_a;
    let places_a = places_a.mask_fill(is_full, n_places as i64);
    Some((places_a, Blocks::of_height(n_experts, height)))
}

/// The place of each assignment `[A]`, whose loads are read.
fn by_load(
    experts_a: Tensor<1, Int>,
    assignments: &Assignments,
    n_experts: usize,
) -> (Tensor<1, Int>, Blocks) {
    let [n] = experts_a.dims();
    let (position_ga, load_ge) = positions_on_device(experts_a.clone().reshape([1, n]), n_experts);
    let load = reads::ints(load_ge);
    let most = load.iter().max().map_or(0, |&most| most as usize);
    let height = most.next_multiple_of(STEP);
    let blocks = if n_experts * height <= MOST_PLACES * n {
        Blocks::of_height(n_experts, height)
    } else {
        let ends = load.iter().scan(0, |end, &load| {
            *end += load;
            Some(*end)
        });
        Blocks::padded(&ends.collect::<Vec<u32>>())
    };
    assignments.note_counts(load);
    let places_a = places(&blocks, experts_a, position_ga.reshape([n]));
    (places_a, blocks)
}

/// The place of each assignment `[A]` from its position among those of its expert.
fn places(
    blocks: &Blocks,
    experts_a: Tensor<1, Int>,
    position_a: Tensor<1, Int>,
) -> Tensor<1, Int> {
    let mut start = 0;
    let mut places_a: Option<Tensor<1, Int>> = None;
    for group in blocks.groups() {
        // the place of an expert's first row if it were in this group, as its rows from `start` on are
        let mut first_e = vec![0; blocks.n_experts()];
        for (i, &expert) in group.experts.iter().enumerate() {
            first_e[expert as usize] = (group.places.start + i * group.height - start) as i64;
        }
        let first_e = TensorData::new(first_e, [blocks.n_experts()]);
        let first_e = Tensor::<1, Int>::from_data(first_e, &experts_a.device());
        let in_group_a = first_e.select(0, experts_a.clone()) + position_a.clone();
        places_a = Some(match places_a {
            Some(before_a) => {
                let is_after = position_a.clone().greater_equal_elem(start as i64);
                before_a.mask_where(is_after, in_group_a)
            }
            None => in_group_a,
        });
        start += group.height;
    }
    places_a.expect("blocks have a group at least")
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
    fn a_load_that_would_leave_most_places_empty_is_divided() {
        // one of 16 experts has all 64 assignments: not 16 times 64 places
        let (rows, n_reads) = planned(&[3; 64], 1, 16);
        let rows = rows.expect("a layout");
        assert_eq!(n_reads, 1);
        assert_eq!(rows.shape.blocks.n_places(), 64);
        let places: Vec<u32> = (0..64).collect();
        assert_eq!(reads::ints(rows.places_a), places);
    }

    #[test]
    fn what_leaves_most_places_empty_has_no_layout() {
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
            is_skewed in any::<bool>(),
        ) {
            // three of four go to one expert
            let of = |p: &u32| if is_skewed && !p.is_multiple_of(4) { 0 } else { p / 4 % n_experts };
            let experts: Vec<u32> = picks.iter().map(of).collect();
            let tokens: Vec<u32> = (0..experts.len() as u32).collect();
            let plan = RowPlan::new(
                &tokens, &experts, &vec![true; experts.len()], tokens.len(), n_experts as usize,
            );
            let (Some(rows), n_reads) = planned(&experts, 1, n_experts as usize) else {
                return Ok(());
            };
            prop_assert_eq!(n_reads, 1);
            let places = reads::ints(rows.places_a);
            let mut start = 0;
            for group in rows.shape.blocks.groups() {
                for (i, &expert) in group.experts.iter().enumerate() {
                    let of_group = plan.rows_of_expert(expert as usize).skip(start).take(group.height);
                    for (j, row) in of_group.enumerate() {
                        let a = plan.rows_assignment()[row] as usize;
                        prop_assert_eq!(places[a] as usize, group.places.start + i * group.height + j);
                    }
                }
                start += group.height;
            }
            for (place, a) in reads::ints(rows.assignments_p).into_iter().enumerate() {
                if (a as usize) < experts.len() {
                    prop_assert_eq!(places[a as usize] as usize, place);
                }
            }
        }
    }
}
