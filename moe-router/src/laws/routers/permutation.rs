//! The law that routing follows a permutation of the tokens.

use crate::laws::host::{Entry, Table, choice_is_learned, difference};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};
use burn::tensor::{Int, Tensor, TensorData};

pub(super) const LAW: Law = Law {
    name: "token-permutation",
    sentence: "another order of tokens gives the same experts to the same tokens, if none is dropped",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    choice_is_learned(&*router, &case.input(case.distinct(&subject.device)))?;
    let x_td = case.distinct(&subject.device);
    let order = within_groups(case);
    let shuffled = rows(&x_td, &order);
    let ids = case.ids(case.n_tokens(), 0);
    let shuffled_ids = order.iter().map(|&t| ids[t]).collect();

    let plain = Table::read(&router.route(case.input(x_td)))?;
    applies(
        !plain.sparse || router.causality().is_causal(),
        "the whole sequence decides, ties and all",
    )?;
    let moved = Table::read(&router.route(case.input(shuffled).token_ids(shuffled_ids)))?;
    applies(
        !plain.drops() && !moved.drops(),
        "this case drops tokens at capacity",
    )?;
    for (to, &from) in order.iter().enumerate() {
        let changed = difference(&plain.rows[from], &moved.rows[to], 1e-4);
        ensure(changed.is_none(), || {
            format!(
                "token {from}, moved to place {to}, is routed otherwise: {}",
                changed.unwrap_or_default()
            )
        })?;
    }
    same_entries(&plain, &moved, &order)
}

/// The permuted entries are the plain ones, counted.
fn same_entries(plain: &Table, moved: &Table, order: &[usize]) -> Held {
    let count = |rows: &[Vec<Entry>]| rows.iter().map(Vec::len).sum::<usize>();
    ensure(count(&plain.rows) == count(&moved.rows), || {
        format!("{} tokens have another number of assignments", order.len())
    })
}

/// A permutation that leaves each token in its sequence.
fn within_groups(case: &Case) -> Vec<usize> {
    let groups = 0..case.n_groups;
    groups
        .flat_map(|g| {
            let order = case.permutation(case.group_size, g as u64);
            order.into_iter().map(move |m| g * case.group_size + m)
        })
        .collect()
}

/// The rows of a matrix in another order.
fn rows(x_td: &Tensor<2>, order: &[usize]) -> Tensor<2> {
    let index: Vec<i64> = order.iter().map(|&t| t as i64).collect();
    let data = TensorData::new(index, [order.len()]);
    let index = Tensor::<1, Int>::from_data(data, &x_td.device());
    x_td.clone().select(0, index)
}
