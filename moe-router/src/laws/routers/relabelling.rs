//! The law that routing follows a permutation of the experts.

use crate::laws::host::{Entry, Table, choice_is_learned, difference};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "expert-relabelling",
    sentence: "experts that change places with their columns of the weights get the same tokens",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let n_experts = case.n_experts;
    applies(n_experts > 1, "one expert")?;
    applies(
        !case.d_model.is_multiple_of(n_experts),
        "an axis of experts cannot be told from one of the width",
    )?;
    let router = subject.build(case)?;
    let input = || case.input(case.distinct(&subject.device));
    choice_is_learned(&*router, &input())?;
    let plain = Table::read(&router.route(input()))?;
    let mut order = labels(case);
    // experts without a network keep their labels
    order.extend(n_experts..plain.n_experts);
    let mut found = false;
    let relabelled = router.edited(&mut |shape, values| {
        for axis in 0..shape.len() {
            if shape[axis] != case.d_model && shape[axis].is_multiple_of(order.len()) {
                permute_blocks(values, shape, axis, &order);
                found = true;
            }
        }
    });
    applies(found, "no parameter has an axis of experts")?;

    let moved = Table::read(&relabelled.route(input()))?;
    same_under(&order, &plain, &moved, n_experts)
}

/// Holds if the second table is the first with its experts renamed.
fn same_under(order: &[usize], plain: &Table, moved: &Table, n_experts: usize) -> Held {
    let width = plain.rows.first().map_or(0, Vec::len);
    let slots = if plain.sparse {
        1
    } else {
        width / 2 / n_experts
    };
    for t in 0..plain.n_tokens() {
        let renamed: Vec<Entry> = plain.rows[t]
            .iter()
            .map(|entry| renamed(entry, order, slots))
            .collect();
        let changed = difference(&renamed, &moved.rows[t], 1e-4);
        ensure(changed.is_none(), || {
            format!(
                "expert e became {order:?}[e], and token {t} is routed otherwise: {}",
                changed.unwrap_or_default()
            )
        })?;
    }
    Ok(())
}

/// The new label of each expert, groups of experts staying together.
fn labels(case: &Case) -> Vec<usize> {
    let size = case.n_experts / case.expert_groups;
    let groups = case.permutation(case.expert_groups, 1);
    let mut labels = Vec::with_capacity(case.n_experts);
    for (g, &group) in groups.iter().enumerate() {
        let inner = case.permutation(size, 10 + g as u64);
        labels.extend(inner.iter().map(|&i| group * size + i));
    }
    labels
}

/// The entry under the new label; entries of a soft plan are slots of an expert, then those again.
fn renamed(entry: &Entry, order: &[usize], slots: usize) -> Entry {
    let n_slots = order.len() * slots;
    let (half, slot) = (entry.expert / n_slots, entry.expert % n_slots);
    let expert = half * n_slots + order[slot / slots] * slots + slot % slots;
    Entry { expert, ..*entry }
}

/// Moves block `e` of an axis to `order[e]`.
fn permute_blocks(values: &mut [f32], shape: &[usize], axis: usize, order: &[usize]) {
    let inner: usize = shape[axis + 1..].iter().product();
    let length = shape[axis] * inner;
    let block = length / order.len();
    for chunk in values.chunks_mut(length) {
        let before = chunk.to_vec();
        for (from, &to) in order.iter().enumerate() {
            let block_at = |e: usize| e * block..(e + 1) * block;
            chunk[block_at(to)].copy_from_slice(&before[block_at(from)]);
        }
    }
}
