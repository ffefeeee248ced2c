//! Two exchanges forward, two backward.
//!
//! ```text
//! forward    rows and gates to the ranks of their experts; outputs back; each token sums its rows
//! backward   gradients of outputs to the ranks of their experts; gradients of rows and gates back
//! ```

use super::bank::{Bank, Computed, Rows};
use super::{Spread, lock, share};
use crate::RowPlan;
use bytemuck::cast_slice;
use std::iter;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// One application of the experts, by all ranks of the group at once.
#[derive(Debug)]
pub struct Call {
    spread: Arc<Spread>,
    plan: Arc<RowPlan>,
    bank: Bank,
    number: u64,
    /// Each sender's rows for its backward pass; nothing of one that had no row here.
    computed: Mutex<Vec<Option<Computed>>>,
}

/// The place of the number of the call in a message.
const NUMBER: Range<usize> = 0..8;

/// The place of the time at which the sender came, in nanoseconds.
pub(super) const CAME: Range<usize> = 8..16;

/// Bytes of the head of a message.
const HEAD: usize = CAME.end;

impl Call {
    pub(super) fn new(spread: Arc<Spread>, plan: Arc<RowPlan>, bank: Bank) -> Self {
        Self {
            number: spread.next_call(),
            spread,
            plan,
            bank,
            computed: Mutex::default(),
        }
    }

    /// The outputs `[n_tokens, width]` of tokens `x`, from experts of all ranks.
    pub(super) fn forward(&self, x: &[f32], gates: &[f32], is_tracked: bool) -> Vec<f32> {
        let width = x.len() / self.plan.n_tokens().max(1);
        let sent = (0..self.ranks()).map(|rank| self.rows_to(rank, x, gates, width));
        let received = self.exchange(sent.collect());
        let mut computed = Vec::with_capacity(received.len());
        let mut outputs = Vec::with_capacity(received.len());
        for message in &received {
            let (rows_out, kept) = self.apply(message, is_tracked);
            outputs.push(self.message(&[cast_slice(&rows_out)]));
            computed.push(kept);
        }
        *lock(&self.computed) = computed;
        let rows: Vec<f32> = self
            .exchange(outputs)
            .iter()
            .flat_map(|part| floats(part))
            .collect();
        self.sum_rows(&rows, width)
    }

    /// Gradients of tokens `[n_tokens, width]` and gates `[n_gates]`; those of the experts are kept in the spread.
    pub(super) fn backward(&self, d_y: &[f32], n_gates: usize) -> (Vec<f32>, Vec<f32>) {
        let width = d_y.len() / self.plan.n_tokens().max(1);
        let sent = (0..self.ranks()).map(|rank| {
            let rows = self.gather(d_y, self.rows_of(rank), width);
            self.message(&[cast_slice(&rows)])
        });
        let received = self.exchange(sent.collect());
        let computed = std::mem::take(&mut *lock(&self.computed));
        let mut answers = Vec::with_capacity(received.len());
        for (sender, (message, computed)) in received.iter().zip(computed).enumerate() {
            answers.push(self.answer(sender, message, computed));
        }
        let back = self.exchange(answers);
        let mut d_rows = Vec::with_capacity(self.plan.n_rows() * width);
        let mut d_gates = vec![0.0; n_gates];
        for (rank, part) in back.iter().enumerate() {
            let values = floats(part);
            let rows = self.rows_of(rank);
            let (of_rows, of_gates) = values.split_at(rows.len() * width);
            d_rows.extend_from_slice(of_rows);
            for (&a, &d) in self.plan.rows_assignment()[rows].iter().zip(of_gates) {
                d_gates[a as usize] = d;
            }
        }
        (self.sum_rows(&d_rows, width), d_gates)
    }

    fn ranks(&self) -> usize {
        self.spread.group.size()
    }

    /// The rows whose experts a rank holds: neighbours, since rows are sorted by expert.
    fn rows_of(&self, rank: usize) -> Range<usize> {
        let experts = share(self.plan.n_experts(), rank, self.ranks());
        let start = self.plan.rows_of_expert(experts.start).start;
        start..self.plan.rows_of_expert(experts.end - 1).end
    }

    /// Rows, gates and their counts by expert, for the rank that holds the experts.
    fn rows_to(&self, rank: usize, x: &[f32], gates: &[f32], width: usize) -> Vec<u8> {
        let experts = share(self.plan.n_experts(), rank, self.ranks());
        let counts = experts.map(|expert| self.plan.rows_of_expert(expert).len() as u32);
        // after the tokens of the batch
        let counts: Vec<u32> = iter::once(self.plan.batch() as u32).chain(counts).collect();
        let rows = self.rows_of(rank);
        let assignments = &self.plan.rows_assignment()[rows.clone()];
        let gates: Vec<f32> = assignments.iter().map(|&a| gates[a as usize]).collect();
        let rows = self.gather(x, rows, width);
        self.message(&[cast_slice(&counts), cast_slice(&gates), cast_slice(&rows)])
    }

    fn apply(&self, message: &[u8], is_tracked: bool) -> (Vec<f32>, Option<Computed>) {
        let (counts, rest) =
            message[HEAD..].split_at((1 + self.bank.n_experts()) * size_of::<u32>());
        let counts: Vec<u32> = bytemuck::pod_collect_to_vec(counts);
        let ends: Vec<u32> = counts[1..]
            .iter()
            .scan(0, |end, &n| {
                *end += n;
                Some(*end)
            })
            .collect();
        let n_rows = ends.last().copied().unwrap_or(0) as usize;
        if n_rows == 0 {
            return (Vec::new(), None);
        }
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(rest);
        let (gates, values) = values.split_at(n_rows);
        let rows = Rows {
            values,
            gates,
            ends: &ends,
            batch: counts[0] as usize,
        };
        self.bank.apply(&rows, is_tracked)
    }

    /// Gradients of a sender's rows, and of its gates behind them.
    fn answer(&self, sender: usize, message: &[u8], computed: Option<Computed>) -> Vec<u8> {
        let mut kept = lock(&self.spread.gradients);
        let Some(computed) = computed else {
            let ids = self.bank.ids();
            ids.into_iter().for_each(|id| kept.push(id, sender, None));
            return self.message(&[]);
        };
        let gradients = computed.backward(&floats(message));
        for (id, gradient) in gradients.parameters {
            kept.push(id, sender, gradient);
        }
        self.message(&[cast_slice(&gradients.rows), cast_slice(&gradients.gates)])
    }

    /// Each token's rows, added in ascending order from zero, as the grouped product of one process does.
    fn sum_rows(&self, rows: &[f32], width: usize) -> Vec<f32> {
        let mut sums = vec![0.0; self.plan.n_tokens() * width];
        for (token, sum) in sums.chunks_exact_mut(width.max(1)).enumerate() {
            for &row in self.plan.rows_of_token(token) {
                let row = &rows[row as usize * width..(row as usize + 1) * width];
                sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
        }
        sums
    }

    /// The values of the tokens of rows.
    fn gather(&self, of_tokens: &[f32], rows: Range<usize>, width: usize) -> Vec<f32> {
        let tokens = self.plan.rows_token()[rows].iter().map(|&t| t as usize);
        let values = tokens.flat_map(|t| &of_tokens[t * width..(t + 1) * width]);
        values.copied().collect()
    }

    /// A message of this call, with nothing at the place of the time.
    fn message(&self, parts: &[&[u8]]) -> Vec<u8> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let mut message = Vec::with_capacity(HEAD + bytes);
        message.extend_from_slice(&self.number.to_le_bytes());
        message.resize(HEAD, 0);
        parts
            .iter()
            .for_each(|part| message.extend_from_slice(part));
        message
    }

    fn exchange(&self, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let received = self.spread.exchange(parts);
        let mine = self.number.to_le_bytes();
        for (rank, message) in received.iter().enumerate() {
            assert!(
                message.get(NUMBER) == Some(&mine),
                "rank {rank} makes another call of its experts than call {} of this rank: all ranks must run the \
                 same layers in the same order",
                self.number
            );
        }
        received
    }
}

/// The numbers behind the head of a message.
fn floats(message: &[u8]) -> Vec<f32> {
    bytemuck::pod_collect_to_vec(&message[HEAD..])
}
