//! Places of rows: blocks of equal height, so that one product of a device serves many experts.
//!
//! Experts have blocks of any height, and a product over a stack of matrices wants one height for all. So a block is
//! filled up with rows of zeros, as in the expert capacity of GShard (arXiv 2006.16668, section 2.2), but without
//! dropping anything: what is above the height goes to a second or third product over the few experts that have it.
//! The number of products does not depend on the number of experts.

use std::ops::Range;

use crate::plan::block;

/// Heights are multiples of this, so that products have few different shapes.
pub(crate) const STEP: usize = 8;

/// The most products over blocks.
const MOST_GROUPS: usize = 3;

/// The price of reading an expert's matrices, in rows multiplied by them.
const READ: usize = 32;

/// The price of copying them besides, for an expert that has a second block.
const COPY: usize = 2 * READ;

/// Experts whose blocks have one height, multiplied by one product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The experts, ascending.
    pub experts: Vec<u32>,
    /// The number of places of each of them.
    pub height: usize,
    /// Their places, block after block.
    pub places: Range<usize>,
}

/// The places P of N rows that are sorted by expert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    groups: Vec<Group>,
    n_experts: usize,
    /// The row of each place, `[P]`; N where the place is empty.
    row_of_place: Vec<u32>,
    /// The place of each row, `[N]`.
    place_of_row: Vec<u32>,
}

impl Blocks {
    /// One product for each expert that has rows, and no empty place: for devices that start a product at once.
    pub fn by_expert(ends: &[u32]) -> Self {
        let with_rows = (0..ends.len()).filter(|&e| !block(ends, e).is_empty());
        let groups = with_rows.map(|expert| Group {
            experts: vec![expert as u32],
            height: block(ends, expert).len(),
            places: block(ends, expert),
        });
        let groups = groups.collect();
        let rows: Vec<u32> = (0..ends.last().copied().unwrap_or(0)).collect();
        Self {
            groups,
            n_experts: ends.len(),
            row_of_place: rows.clone(),
            place_of_row: rows,
        }
    }

    /// At most three products for any number of experts: for devices where each operation is a launch.
    pub fn padded(ends: &[u32]) -> Self {
        let n_rows = ends.last().copied().unwrap_or(0);
        let mut blocks = Self {
            groups: Vec::new(),
            n_experts: ends.len(),
            row_of_place: Vec::new(),
            place_of_row: vec![0; n_rows as usize],
        };
        let mut rest: Vec<Range<usize>> = (0..ends.len()).map(|e| block(ends, e)).collect();
        let mut experts: Vec<u32> = (0..ends.len() as u32).collect();
        while blocks.groups.is_empty() || !experts.is_empty() {
            let loads: Vec<usize> = experts.iter().map(|&e| rest[e as usize].len()).collect();
            let is_last = blocks.groups.len() + 1 == MOST_GROUPS;
            let height = if is_last {
                most(&loads)
            } else {
                height(&loads)
            };
            let left = blocks.take(experts, height, n_rows, &mut rest);
            experts = left;
        }
        blocks
    }

    /// One product of all experts with blocks of one height, whose rows are known to a device alone.
    pub fn of_height(n_experts: usize, height: usize) -> Self {
        let experts = (0..n_experts as u32).collect();
        Self {
            groups: vec![Group {
                experts,
                height,
                places: 0..n_experts * height,
            }],
            n_experts,
            row_of_place: Vec::new(),
            place_of_row: Vec::new(),
        }
    }

    /// Gives the next `height` rows of each expert their places; returns the experts that have more.
    fn take(
        &mut self,
        experts: Vec<u32>,
        height: usize,
        n_rows: u32,
        rest: &mut [Range<usize>],
    ) -> Vec<u32> {
        let start = self.row_of_place.len();
        for &expert in &experts {
            let rows = &mut rest[expert as usize];
            let first = self.row_of_place.len();
            for place in first..first + height {
                let row = rows.next().map_or(n_rows, |row| row as u32);
                self.row_of_place.push(row);
                if row < n_rows {
                    self.place_of_row[row as usize] = place as u32;
                }
            }
        }
        let has_more = |&e: &u32| !rest[e as usize].is_empty();
        let left = experts.iter().copied().filter(has_more).collect();
        self.groups.push(Group {
            experts,
            height,
            places: start..self.row_of_place.len(),
        });
        left
    }

    /// The products, in the order of their places.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The number of experts E.
    pub fn n_experts(&self) -> usize {
        self.n_experts
    }

    /// The number of places P.
    pub fn n_places(&self) -> usize {
        self.groups.last().map_or(0, |group| group.places.end)
    }

    /// Returns `true` if the row of every place is the place itself.
    pub fn are_rows(&self) -> bool {
        let mut places = self.row_of_place.iter().enumerate();
        self.place_of_row.len() == self.n_places() && places.all(|(p, &row)| p == row as usize)
    }

    /// The row of each place, `[P]`; the number of rows where the place is empty.
    pub fn row_of_place(&self) -> &[u32] {
        &self.row_of_place
    }

    /// The place of each row, `[N]`.
    pub fn place_of_row(&self) -> &[u32] {
        &self.place_of_row
    }

    /// For each place what `of_row` says of its row, `[P]`, and `empty` where it has none.
    pub fn of_rows(&self, of_row: &[u32], empty: usize) -> Vec<u32> {
        let of_place = |&row: &u32| of_row.get(row as usize).copied();
        let places = self.row_of_place.iter().map(of_place);
        places.map(|value| value.unwrap_or(empty as u32)).collect()
    }
}

fn most(loads: &[usize]) -> usize {
    loads.iter().copied().max().unwrap_or(0)
}

/// The height of a group at which it and one more group cost least.
fn height(loads: &[usize]) -> usize {
    let most = most(loads);
    if loads.iter().all(|&load| load == most) {
        return most;
    }
    let mut ascending = loads.to_vec();
    ascending.sort_unstable();
    let cost = |load: &usize| {
        let height = load.next_multiple_of(STEP);
        let n_above = loads.len() - ascending.partition_point(|&load| load <= height);
        let rows = if height == 0 { 0 } else { height + READ };
        let rows_above = most.saturating_sub(height) + READ + COPY;
        (loads.len() * rows + n_above * rows_above, height)
    };
    let cheapest = ascending.iter().map(cost).min();
    cheapest.map_or(most, |(_, height)| height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The number of experts and the height of each product.
    fn shapes(loads: &[u32]) -> Vec<(usize, usize)> {
        let blocks = Blocks::padded(&ends(loads));
        let shape = |group: &Group| (group.experts.len(), group.height);
        blocks.groups().iter().map(shape).collect()
    }

    fn ends(loads: &[u32]) -> Vec<u32> {
        let mut sum = 0;
        let end = |load: &u32| {
            sum += load;
            sum
        };
        loads.iter().map(end).collect()
    }

    #[test]
    fn equal_loads_have_no_empty_places() {
        let blocks = Blocks::padded(&ends(&[5; 4]));
        assert_eq!((blocks.n_places(), blocks.are_rows()), (20, true));
        assert_eq!(shapes(&[5; 4]), [(4, 5)]);
    }

    #[test]
    fn similar_loads_are_filled_up_to_the_largest() {
        // 30 is the largest of similar loads; the next multiple of 8 is 32
        assert_eq!(shapes(&[20, 25, 30, 28]), [(4, 32)]);
    }

    #[test]
    fn the_busiest_experts_have_a_second_block() {
        // all at 1,000: 8 (1,000 + 32) = 8,256; all at 24 and one with 976 more: 8 (24 + 32) + 976 + 32 + 64 = 1,520
        let loads = [20, 20, 20, 1000, 20, 20, 20, 20];
        assert_eq!(shapes(&loads), [(8, 24), (1, 976)]);
        let blocks = Blocks::padded(&ends(&loads));
        assert_eq!(blocks.groups()[1].experts, [3]);
        // row 60 is the first of expert 3, whose block is the fourth; its 25th row comes after all 192 places
        assert_eq!(blocks.place_of_row()[60], 72);
        assert_eq!(blocks.place_of_row()[84], 192);
    }

    #[test]
    fn matrices_of_idle_experts_are_not_read() {
        // 64 experts at height 8: 64 (8 + 32) = 2,560; one copied: 1 + 32 + 64 = 97
        let mut loads = [0; 64];
        loads[7] = 1;
        assert_eq!(shapes(&loads), [(64, 0), (1, 1)]);
    }

    #[test]
    fn there_are_no_more_than_three_products() {
        let loads: Vec<u32> = (0..12).map(|i| 3 << i).collect();
        assert_eq!(shapes(&loads).len(), 3);
        assert_eq!(shapes(&[]), [(0, 0)]);
        assert_eq!(shapes(&[0, 0]), [(2, 0)]);
    }

    proptest! {
        #[test]
        fn every_row_has_one_place(loads in prop::collection::vec(0u32..70, 1..20)) {
            let ends = ends(&loads);
            let n_rows = ends[ends.len() - 1];
            for blocks in [Blocks::padded(&ends), Blocks::by_expert(&ends)] {
                let mut rows: Vec<u32> = Vec::new();
                for group in blocks.groups() {
                    prop_assert_eq!(group.places.len(), group.experts.len() * group.height);
                    for (i, place) in group.places.clone().enumerate() {
                        let row = blocks.row_of_place()[place];
                        if row == n_rows {
                            continue;
                        }
                        let expert = group.experts[i / group.height] as usize;
                        prop_assert!(block(&ends, expert).contains(&(row as usize)));
                        prop_assert_eq!(blocks.place_of_row()[row as usize] as usize, place);
                        rows.push(row);
                    }
                }
                rows.sort_unstable();
                prop_assert_eq!(rows, (0..n_rows).collect::<Vec<_>>());
            }
        }
    }
}
