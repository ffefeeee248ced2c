//! Routings read back to the host, token by token.

use super::law::applies;
use super::{Held, Specimen, Stop};
use crate::{Plan, RouterInput, Routing, SoftPlan, SparsePlan, to_vec};

/// Share that a token gets from one expert; for a soft plan, from one slot or to one slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub expert: usize,
    pub weight: f32,
    pub kept: bool,
}

/// A routing on the host, token by token.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// The entries of each token in the order of the plan, `[T]`.
    pub rows: Vec<Vec<Entry>>,
    /// The scores, `[T, E]`.
    pub logits: Vec<f32>,
    /// The scores as a distribution, `[T, E]`.
    pub probs: Vec<f32>,
    /// `true` if the plan is a list of assignments.
    pub sparse: bool,
    pub n_experts: usize,
    pub n_groups: usize,
}

impl Table {
    /// Reads a routing.
    ///
    /// # Errors
    ///
    /// Says what is wrong if it is not well formed.
    pub fn read(routing: &Routing) -> Result<Self, Stop> {
        let n_tokens = routing.logits.dims()[0];
        let rows = match &routing.plan {
            Plan::Sparse(plan) => sparse_rows(plan, n_tokens, routing.n_experts())?,
            Plan::Soft(plan) => soft_rows(plan, n_tokens)?,
        };
        Ok(Self {
            rows,
            logits: to_vec(routing.logits.clone().detach()),
            probs: to_vec(routing.probs().detach()),
            sparse: matches!(routing.plan, Plan::Sparse(_)),
            n_experts: routing.n_experts(),
            n_groups: routing.n_groups,
        })
    }

    pub fn n_tokens(&self) -> usize {
        self.rows.len()
    }

    pub fn group_size(&self) -> usize {
        self.n_tokens() / self.n_groups.max(1)
    }

    /// The entries with the token of each, in the order of tokens.
    pub fn entries(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let rows = self.rows.iter().enumerate();
        rows.flat_map(|(t, row)| row.iter().map(move |entry| (t, entry)))
    }

    pub fn drops(&self) -> bool {
        self.entries().any(|(_, entry)| !entry.kept)
    }

    pub fn logit(&self, t: usize, e: usize) -> f32 {
        self.logits[t * self.n_experts + e]
    }

    pub fn prob(&self, t: usize, e: usize) -> f32 {
        self.probs[t * self.n_experts + e]
    }

    /// The experts of a token, ascending.
    pub fn experts(&self, t: usize) -> Vec<usize> {
        let mut experts: Vec<usize> = self.rows[t].iter().map(|entry| entry.expert).collect();
        experts.sort_unstable();
        experts
    }
}

fn sparse_rows(
    plan: &SparsePlan,
    n_tokens: usize,
    n_experts: usize,
) -> Result<Vec<Vec<Entry>>, Stop> {
    let assignments = &plan.assignments;
    let weights_a = to_vec(plan.weights.clone().detach());
    if weights_a.len() != assignments.len() {
        return Err(Stop::broken(format!(
            "{} weights for {} assignments",
            weights_a.len(),
            assignments.len()
        )));
    }
    let mut rows = vec![Vec::new(); n_tokens];
    for (n, &weight) in weights_a.iter().enumerate() {
        let (t, expert) = (assignments.tokens()[n], assignments.experts()[n]);
        let (t, expert) = (t as usize, expert as usize);
        if t >= n_tokens || expert >= n_experts {
            return Err(Stop::broken(format!(
                "assignment {n} is of token {t} to expert {expert}: there are {n_tokens} tokens and {n_experts} experts"
            )));
        }
        let kept = assignments.kept()[n];
        rows[t].push(Entry {
            expert,
            weight: if kept { weight } else { 0.0 },
            kept,
        });
    }
    Ok(rows)
}

/// Two entries a slot: what it gives to the token, then what it takes of it.
fn soft_rows(plan: &SoftPlan, n_tokens: usize) -> Result<Vec<Vec<Entry>>, Stop> {
    let [n_groups, group_size, n_slots] = plan.combine.dims();
    if plan.dispatch.dims() != plan.combine.dims() || n_groups * group_size != n_tokens {
        return Err(Stop::broken(format!(
            "maps of shapes {:?} and {:?} for {n_tokens} tokens",
            plan.dispatch.dims(),
            plan.combine.dims()
        )));
    }
    let combine = to_vec(plan.combine.clone().detach());
    let dispatch = to_vec(plan.dispatch.clone().detach());
    let row = |t: usize| {
        let of = |map: &[f32], shift: usize| -> Vec<Entry> {
            let row = &map[t * n_slots..(t + 1) * n_slots];
            let entry = |(s, &weight): (usize, &f32)| Entry {
                expert: s + shift,
                weight,
                kept: true,
            };
            row.iter().enumerate().map(entry).collect()
        };
        [of(&combine, 0), of(&dispatch, n_slots)].concat()
    };
    Ok((0..n_tokens).map(row).collect())
}

/// Leaves a law aside for a router whose choice does not follow from its parameters: a fixed rule, a
/// recorded run, or a single expert.
pub(super) fn choice_is_learned(router: &dyn Specimen, input: &RouterInput) -> Held {
    let reason = "the choice does not depend on parameters";
    applies(router.n_params() > 0, reason)?;
    let opposite = router.edited(&mut |_, values| values.iter_mut().for_each(|x| *x = -*x));
    let plain = Table::read(&router.route(input.clone()))?;
    let moved = Table::read(&opposite.route(input.clone()))?;
    let same = |t: usize| plain.experts(t) == moved.experts(t);
    applies(!plain.sparse || !(0..plain.n_tokens()).all(same), reason)
}

/// Describes a difference of two rows, the order of their entries apart; weights may differ by `tolerance`.
pub(super) fn difference(left: &[Entry], right: &[Entry], tolerance: f32) -> Option<String> {
    let sorted = |row: &[Entry]| {
        let mut row = row.to_vec();
        row.sort_by_key(|entry| entry.expert);
        row
    };
    let (left, right) = (sorted(left), sorted(right));
    let same = |(a, b): (&Entry, &Entry)| {
        let close = a.weight.to_bits() == b.weight.to_bits()
            || (a.weight - b.weight).abs() <= tolerance * (1.0 + a.weight.abs());
        a.expert == b.expert && a.kept == b.kept && close
    };
    if left.len() == right.len() && left.iter().zip(&right).all(same) {
        return None;
    }
    if left.len() == right.len() && left.len() > 4 {
        // a long row: the first entry that differs says enough
        let first = left.iter().zip(&right).find(|(a, b)| !same((*a, *b)));
        return first.map(|(a, b)| format!("{} against {}", show(&[*a]), show(&[*b])));
    }
    Some(format!("{} against {}", show(&left), show(&right)))
}

/// A row in words.
pub(super) fn show(row: &[Entry]) -> String {
    if row.is_empty() {
        return "no expert".to_owned();
    }
    let one = |entry: &Entry| {
        let dropped = if entry.kept { "" } else { ", dropped" };
        format!("expert {} ({}{dropped})", entry.expert, entry.weight)
    };
    row.iter().map(one).collect::<Vec<_>>().join(" + ")
}
