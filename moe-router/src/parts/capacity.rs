use crate::Assignments;

/// How many tokens an expert may take from a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// The capacity factor; 1 is just enough if the load is perfectly balanced.
    pub factor: f64,
}

impl Capacity {
    /// `C = floor(M / E * factor)`, at least 1: the expert capacity of the Switch Transformer
    /// (Fedus et al. 2021, arXiv 2101.03961, equation 3), as its code truncates it.
    pub fn switch(&self, group_size: usize, n_experts: usize) -> usize {
        let exact = group_size as f64 / n_experts as f64 * self.factor;
        (exact as usize).max(1)
    }
}

/// Drops assignments that find their expert full: each expert keeps the first `capacity(group)`
/// assignments of each group, in the order of the list.
///
/// Token `t` belongs to group `t / group_size`, so an earlier token never loses its place to a later
/// one as long as the list is in the order of tokens.
///
/// # Panics
///
/// Panics if `group_size` is zero.
pub fn drop_over_capacity(
    assignments: &mut Assignments,
    group_size: usize,
    n_experts: usize,
    capacity: impl Fn(usize) -> usize,
) {
    if assignments.is_empty() {
        return;
    }
    assert!(group_size > 0, "a group has at least one token");
    let n_groups = assignments
        .tokens()
        .iter()
        .map(|&t| t as usize / group_size + 1)
        .max()
        .unwrap_or(0);
    let capacity_g: Vec<usize> = (0..n_groups).map(capacity).collect();
    let mut taken_ge = vec![0usize; n_groups * n_experts];
    for n in 0..assignments.len() {
        let group = assignments.tokens()[n] as usize / group_size;
        let taken = &mut taken_ge[group * n_experts + assignments.experts()[n] as usize];
        if *taken == capacity_g[group] {
            assignments.drop_assignment(n);
        } else {
            *taken += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn capacity_truncates_and_is_never_zero() {
        let capacity = Capacity { factor: 1.25 };
        assert_eq!(capacity.switch(10, 4), 3); // 10 / 4 * 1.25 = 3.125
        assert_eq!(capacity.switch(1, 8), 1); // 0.156 would compute nothing
    }

    #[test]
    fn the_earliest_tokens_of_each_group_keep_their_place() {
        let mut assignments = Assignments::default();
        for token in 0..4 {
            assignments.push(token, 0);
        }
        drop_over_capacity(&mut assignments, 2, 1, |_| 1);
        assert_eq!(assignments.kept(), [true, false, true, false]);
    }

    proptest! {
        #[test]
        fn never_exceeded_and_never_dropping_more_with_more_room(
            experts in prop::collection::vec(0u32..4, 1..60),
            group_size in 1usize..20,
            capacity in 0usize..12,
        ) {
            let run = |capacity| {
                let mut a = Assignments::default();
                for (t, &e) in experts.iter().enumerate() {
                    a.push(t as u32, e);
                }
                drop_over_capacity(&mut a, group_size, 4, |_| capacity);
                a
            };
            let (less, more) = (run(capacity), run(capacity + 1));
            for group in 0..experts.len().div_ceil(group_size) {
                for expert in 0..4u32 {
                    let kept = (0..less.len())
                        .filter(|&n| less.kept()[n] && less.experts()[n] == expert)
                        .filter(|&n| less.tokens()[n] as usize / group_size == group)
                        .count();
                    prop_assert!(kept <= capacity);
                }
            }
            prop_assert!((0..less.len()).all(|n| !less.kept()[n] || more.kept()[n]));
        }
    }
}
