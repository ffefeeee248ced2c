//! The row plan: kept assignments sorted by expert, so that every expert sees one block of rows.
//!
//! N rows are the kept ones of A assignments. This is the "permute" step of MegaBlocks
//! (arXiv 2211.15841, section 5.2): row `n` holds token `rows_token[n]`, and expert `e` owns the rows
//! `ends[e - 1]..ends[e]`. The inverse map, token to rows, turns the combine step into a gather:
//! `y_t = sum over the rows n of token t of gate_n * expert(x_t)`, summed in ascending row order.

use moe_router::SparsePlan;
use std::ops::Range;

/// Map from kept assignments to rows of experts, and back.
///
/// Made on the host in O(N + A + E + T) by a counting sort that keeps the order of assignments
/// within an expert, hence a pure function of its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPlan {
    n_assignments: usize,
    rows_token: Vec<u32>,
    rows_assignment: Vec<u32>,
    ends: Vec<u32>,
    token_ends: Vec<u32>,
    token_rows: Vec<u32>,
    batch: usize,
}

impl RowPlan {
    /// The rows of the first `n_experts` experts; those of experts without a network, which come after
    /// them, are left out.
    pub(crate) fn of_experts(plan: &SparsePlan, n_tokens: usize, n_experts: usize) -> Self {
        let assignments = &plan.assignments;
        let (tokens, experts) = (assignments.tokens(), assignments.experts());
        let is_computed = |e: u32| (e as usize) < n_experts;
        if experts.iter().all(|&e| is_computed(e)) {
            return Self::new(tokens, experts, assignments.kept(), n_tokens, n_experts);
        }
        let mut computed = Vec::with_capacity(experts.len());
        let mut kept = Vec::with_capacity(experts.len());
        for (&expert, &was_kept) in experts.iter().zip(assignments.kept()) {
            // a row that is not kept needs some expert, and is not computed
            computed.push(if is_computed(expert) { expert } else { 0 });
            kept.push(was_kept && is_computed(expert));
        }
        Self::new(tokens, &computed, &kept, n_tokens, n_experts)
    }

    /// Sorts the kept assignments by expert.
    ///
    /// # Shapes
    ///
    /// - tokens, experts, kept: `[n_assignments]`, entry `a` says that token `tokens[a]` goes to expert
    ///   `experts[a]` unless `kept[a]` is false
    ///
    /// # Panics
    ///
    /// Panics if the lengths differ, or if a token or an expert is out of range.
    pub fn new(
        tokens: &[u32],
        experts: &[u32],
        kept: &[bool],
        n_tokens: usize,
        n_experts: usize,
    ) -> Self {
        assert!(
            tokens.len() == experts.len() && tokens.len() == kept.len(),
            "RowPlan: {} tokens, {} experts and {} kept flags; one of each per assignment",
            tokens.len(),
            experts.len(),
            kept.len()
        );
        check_range("token", tokens, n_tokens);
        check_range("expert", experts, n_experts);

        let kept_a: Vec<u32> = (0..tokens.len() as u32)
            .filter(|&a| kept[a as usize])
            .collect();
        let (rows_assignment, ends) =
            counting_sort(&kept_a, |a| experts[a as usize] as usize, n_experts);
        let rows_token = rows_assignment
            .iter()
            .map(|&a| tokens[a as usize])
            .collect();
        Self::from_rows(tokens.len(), rows_token, rows_assignment, ends, n_tokens)
    }

    /// The plan of rows that are already grouped: row, token and assignment are the same thing.
    ///
    /// # Shapes
    ///
    /// - ends: `[n_experts]`, cumulative row ends, so the last one is the number of rows
    ///
    /// # Panics
    ///
    /// Panics if `ends` decreases.
    pub fn identity(ends: &[u32]) -> Self {
        assert!(
            ends.is_sorted(),
            "RowPlan: row ends must not decrease, got {ends:?}"
        );
        let n_rows = ends.last().copied().unwrap_or(0);
        let rows: Vec<u32> = (0..n_rows).collect();
        Self::from_rows(
            n_rows as usize,
            rows.clone(),
            rows,
            ends.to_vec(),
            n_rows as usize,
        )
    }

    fn from_rows(
        n_assignments: usize,
        rows_token: Vec<u32>,
        rows_assignment: Vec<u32>,
        ends: Vec<u32>,
        n_tokens: usize,
    ) -> Self {
        let rows: Vec<u32> = (0..rows_token.len() as u32).collect();
        let (token_rows, token_ends) =
            counting_sort(&rows, |n| rows_token[n as usize] as usize, n_tokens);
        Self {
            n_assignments,
            rows_token,
            rows_assignment,
            ends,
            token_ends,
            token_rows,
            batch: n_tokens,
        }
    }

    /// The same for rows that are some of those of a batch of `n_tokens` tokens: they are computed as they would be
    /// beside the others.
    pub fn of_batch(self, n_tokens: usize) -> Self {
        Self {
            batch: n_tokens,
            ..self
        }
    }

    /// Number of tokens of the batch that the rows are of: T, unless [said otherwise](Self::of_batch).
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Number of rows N, the kept assignments.
    pub fn n_rows(&self) -> usize {
        self.rows_token.len()
    }

    /// Number of assignments A, dropped ones included.
    pub fn n_assignments(&self) -> usize {
        self.n_assignments
    }

    /// Number of tokens T.
    pub fn n_tokens(&self) -> usize {
        self.token_ends.len()
    }

    /// Number of experts E.
    pub fn n_experts(&self) -> usize {
        self.ends.len()
    }

    /// Token of each row, `[N]`.
    pub fn rows_token(&self) -> &[u32] {
        &self.rows_token
    }

    /// Assignment that each row came from, `[N]`.
    pub fn rows_assignment(&self) -> &[u32] {
        &self.rows_assignment
    }

    /// Cumulative row ends, `[E]`: expert `e` owns the rows `ends[e - 1]..ends[e]`.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Cumulative ends into [`token_rows`](Self::token_rows), `[T]`.
    pub fn token_ends(&self) -> &[u32] {
        &self.token_ends
    }

    /// Rows sorted by token, ascending within a token, `[N]`.
    pub fn token_rows(&self) -> &[u32] {
        &self.token_rows
    }

    /// The rows of `expert`.
    ///
    /// # Panics
    ///
    /// Panics if `expert` is out of range.
    pub fn rows_of_expert(&self, expert: usize) -> Range<usize> {
        block(&self.ends, expert)
    }

    /// The rows of `token`, ascending.
    ///
    /// # Panics
    ///
    /// Panics if `token` is out of range.
    pub fn rows_of_token(&self, token: usize) -> &[u32] {
        &self.token_rows[block(&self.token_ends, token)]
    }
}

/// The half-open block `i` of cumulative ends.
pub(crate) fn block(ends: &[u32], i: usize) -> Range<usize> {
    let start = if i == 0 { 0 } else { ends[i - 1] };
    start as usize..ends[i] as usize
}

fn check_range(what: &str, ids: &[u32], bound: usize) {
    if let Some(id) = ids.iter().find(|&&id| id as usize >= bound) {
        panic!("RowPlan: {what} {id} is out of range, there are {bound}");
    }
}

/// Sorts `items` by bucket, stable, and returns them with the cumulative ends of the buckets.
fn counting_sort(
    items: &[u32],
    bucket: impl Fn(u32) -> usize,
    n_buckets: usize,
) -> (Vec<u32>, Vec<u32>) {
    let mut next = vec![0u32; n_buckets];
    for &item in items {
        next[bucket(item)] += 1;
    }
    let mut start = 0;
    for slot in &mut next {
        (*slot, start) = (start, start + *slot);
    }
    let mut sorted = vec![0u32; items.len()];
    for &item in items {
        let slot = &mut next[bucket(item)];
        sorted[*slot as usize] = item;
        *slot += 1;
    }
    // Every bucket's cursor has moved to the bucket's end.
    (sorted, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sorts_by_expert_and_keeps_assignment_order() {
        // Assignments (token, expert): 0:(0,2) 1:(0,0) 2:(1,2) 3:(1,1 dropped) 4:(2,0).
        // Expert 0: assignments 1, 4; expert 1: none; expert 2: assignments 0, 2.
        let plan = RowPlan::new(
            &[0, 0, 1, 1, 2],
            &[2, 0, 2, 1, 0],
            &[true, true, true, false, true],
            4,
            3,
        );
        assert_eq!(plan.rows_assignment(), [1, 4, 0, 2]);
        assert_eq!(plan.rows_token(), [0, 2, 0, 1]);
        assert_eq!(plan.ends(), [2, 2, 4]);
        // Token 0 has rows 0 and 2, token 1 row 3, token 2 row 1, token 3 none.
        assert_eq!(plan.token_rows(), [0, 2, 3, 1]);
        assert_eq!(plan.token_ends(), [2, 3, 4, 4]);
        assert_eq!(plan.rows_of_expert(2), 2..4);
        assert_eq!(plan.rows_of_token(0), [0, 2]);
        assert!(plan.rows_of_token(3).is_empty());
        assert_eq!(
            [
                plan.n_rows(),
                plan.n_assignments(),
                plan.n_tokens(),
                plan.n_experts()
            ],
            [4, 5, 4, 3]
        );
    }

    #[test]
    fn identity_is_one_row_a_token() {
        let plan = RowPlan::identity(&[2, 2, 3]);
        assert_eq!(plan, RowPlan::new(&[0, 1, 2], &[0, 0, 2], &[true; 3], 3, 3));
    }

    #[test]
    fn nothing_to_do() {
        let plan = RowPlan::new(&[], &[], &[], 0, 2);
        assert_eq!(plan.n_rows(), 0);
        assert_eq!(plan.ends(), [0, 0]);
    }

    #[test]
    #[should_panic(expected = "one of each per assignment")]
    fn mismatched_lengths() {
        RowPlan::new(&[0], &[0, 1], &[true], 1, 2);
    }

    #[test]
    #[should_panic(expected = "expert 2 is out of range")]
    fn expert_out_of_range() {
        RowPlan::new(&[0], &[2], &[true], 1, 2);
    }

    #[test]
    #[should_panic(expected = "token 1 is out of range")]
    fn token_out_of_range() {
        RowPlan::new(&[1], &[0], &[true], 1, 2);
    }

    #[test]
    #[should_panic(expected = "must not decrease")]
    fn decreasing_ends() {
        RowPlan::identity(&[2, 1]);
    }

    proptest! {
        #[test]
        fn every_kept_assignment_has_one_row(
            entries in prop::collection::vec((0u32..7, 0u32..5, any::<bool>()), 0..40),
        ) {
            let tokens: Vec<u32> = entries.iter().map(|e| e.0).collect();
            let experts: Vec<u32> = entries.iter().map(|e| e.1).collect();
            let kept: Vec<bool> = entries.iter().map(|e| e.2).collect();
            let plan = RowPlan::new(&tokens, &experts, &kept, 7, 5);

            let mut rows = plan.rows_assignment().to_vec();
            for expert in 0..5 {
                let own = &rows[plan.rows_of_expert(expert)];
                prop_assert!(own.iter().all(|&a| experts[a as usize] as usize == expert));
                prop_assert!(own.is_sorted());
            }
            for token in 0..7 {
                let own = plan.rows_of_token(token);
                prop_assert!(own.iter().all(|&n| plan.rows_token()[n as usize] as usize == token));
                prop_assert!(own.is_sorted());
            }
            rows.sort_unstable();
            let expected: Vec<u32> = (0..tokens.len() as u32).filter(|&a| kept[a as usize]).collect();
            prop_assert_eq!(rows, expected);
        }
    }
}
