//! The list of assignments of a sparse router.

use std::iter::repeat_n;

/// The list of (token, expert) pairs that a sparse router chose, in the order in which it chose them.
///
/// It lives on the host: selection is not differentiable, ties must fall alike on every device, and
/// capacity, priority and balanced assignment are plain loops there. Dropped assignments stay in the
/// list and are marked, so that losses and metrics see what was asked for as well as what was done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assignments {
    tokens: Vec<u32>,
    experts: Vec<u32>,
    kept: Vec<bool>,
}

impl Assignments {
    /// An empty list with room for `capacity` assignments.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            tokens: Vec::with_capacity(capacity),
            experts: Vec::with_capacity(capacity),
            kept: Vec::with_capacity(capacity),
        }
    }

    /// `k` experts for each token, all kept; `experts` is `[T, K]`, row by row.
    ///
    /// # Panics
    ///
    /// Panics if `k` does not divide the number of experts.
    pub fn of_each_token(experts: Vec<u32>, k: usize) -> Self {
        assert!(
            experts.is_empty() || (k > 0 && experts.len().is_multiple_of(k)),
            "{} experts are not {k} a token",
            experts.len()
        );
        let n_tokens = (experts.len() / k.max(1)) as u32;
        Self {
            tokens: (0..n_tokens).flat_map(|t| repeat_n(t, k)).collect(),
            kept: vec![true; experts.len()],
            experts,
        }
    }

    /// Appends a kept assignment.
    pub fn push(&mut self, token: u32, expert: u32) {
        self.tokens.push(token);
        self.experts.push(expert);
        self.kept.push(true);
    }

    /// Marks assignment `index` as dropped: its token is not computed by that expert.
    ///
    /// # Panics
    ///
    /// Panics if `index` is out of range.
    pub fn drop_assignment(&mut self, index: usize) {
        self.kept[index] = false;
    }

    /// The token of each assignment, `[A]`.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The expert of each assignment, `[A]`.
    pub fn experts(&self) -> &[u32] {
        &self.experts
    }

    /// Mask of the kept assignments, `[A]`; `false` means dropped.
    pub fn kept(&self) -> &[bool] {
        &self.kept
    }

    /// The number of assignments, dropped ones included.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Returns `true` if there is no assignment at all.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Kept and dropped assignments of each expert, `[E]`.
    pub(crate) fn count_by_expert(&self, n_experts: usize) -> ExpertCounts {
        let mut counts = ExpertCounts {
            kept: vec![0.0; n_experts],
            asked: vec![0.0; n_experts],
        };
        for (&expert, &kept) in self.experts.iter().zip(&self.kept) {
            counts.asked[expert as usize] += 1.0;
            counts.kept[expert as usize] += f64::from(u8::from(kept));
        }
        counts
    }
}

/// Assignments of each expert: those kept, and all that were asked for.
pub(crate) struct ExpertCounts {
    pub(crate) kept: Vec<f64>,
    pub(crate) asked: Vec<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_experts_for_each_token() {
        let mut pushed = Assignments::default();
        for (token, expert) in [(0, 3), (0, 1), (1, 0), (1, 2)] {
            pushed.push(token, expert);
        }
        assert_eq!(Assignments::of_each_token(vec![3, 1, 0, 2], 2), pushed);
        assert!(Assignments::of_each_token(vec![], 0).is_empty());
    }

    #[test]
    #[should_panic(expected = "1 experts are not 0 a token")]
    fn experts_of_no_choice_panic() {
        let _ = Assignments::of_each_token(vec![0], 0);
    }

    #[test]
    #[should_panic(expected = "3 experts are not 2 a token")]
    fn experts_that_do_not_divide_among_tokens_panic() {
        let _ = Assignments::of_each_token(vec![0; 3], 2);
    }

    #[test]
    fn counts_keep_dropped_assignments_apart() {
        let mut assignments = Assignments::with_capacity(3);
        assignments.push(0, 1);
        assignments.push(1, 1);
        assignments.push(2, 0);
        assignments.drop_assignment(1);

        let counts = assignments.count_by_expert(3);
        assert_eq!(counts.asked, [1.0, 2.0, 0.0]);
        assert_eq!(counts.kept, [1.0, 1.0, 0.0]);
    }
}
