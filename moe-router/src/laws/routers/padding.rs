//! The law that padding is routed nowhere and changes nothing.

use crate::{Load, RouterInput};
use crate::laws::host::{Table, difference, show};
use crate::laws::law::ensure;
use crate::laws::{Case, Held, Law, Specimen, Subject};
use burn::tensor::{Device, Tensor};

pub(super) const LAW: Law = Law {
    name: "padding",
    sentence: "padding goes to no expert and changes nothing for the other tokens, nor for the load",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let plain_routing = router.route(case.input(case.distinct(&subject.device)));
    let plain = Table::read(&plain_routing)?;
    let input = padded(case, &case.distinct(&subject.device), 9.0);
    let padding = input.padding.clone();
    let routing = router.route(input);
    let padded = Table::read(&routing)?;
    let length = case.group_size + case.padding;
    for t in 0..padded.n_tokens() {
        let (group, m) = (t / length, t % length);
        if padding.as_ref().is_some_and(|padding| padding[t]) {
            let row = &padded.rows[t];
            ensure(
                row.iter()
                    .all(|entry| !padded.sparse && entry.weight == 0.0),
                || format!("padding goes to {}", show(row)),
            )?;
            continue;
        }
        let changed = difference(
            &plain.rows[group * case.group_size + m],
            &padded.rows[t],
            1e-4,
        );
        ensure(changed.is_none(), || {
            format!(
                "token {m} of sequence {group}, without padding and with it: {}",
                changed.unwrap_or_default()
            )
        })?;
    }
    content_is_ignored(&*router, case, &subject.device)?;
    same_load(&plain_routing.load(), &routing.load())
}

fn same_load(plain: &Load, padded: &Load) -> Held {
    let close = |a: &f64, b: &f64| (a - b).abs() < 1e-3;
    ensure(
        plain.n_tokens == padded.n_tokens
            && plain
                .kept
                .iter()
                .zip(&padded.kept)
                .all(|(a, b)| close(a, b)),
        || format!("the load {plain:?} became {padded:?} with padding"),
    )
}

/// Under noise padding may move the draws of other tokens, but what it holds must not matter.
fn content_is_ignored(router: &dyn Specimen, case: &Case, device: &Device) -> Held {
    let route = |size: f64| {
        let input = padded(case, &case.distinct(device), size);
        Table::read(&router.route(input.noise(Some(case.seed))))
    };
    let (small, large) = (route(1.0)?, route(9.0)?);
    for t in 0..small.n_tokens() {
        let changed = difference(&small.rows[t], &large.rows[t], 0.0);
        ensure(changed.is_none(), || {
            format!(
                "in training, with other numbers in the padding, token {t}: {}",
                changed.unwrap_or_default()
            )
        })?;
    }
    Ok(())
}

/// The case with padding tokens of some size behind each sequence.
fn padded(case: &Case, x_td: &Tensor<2>, size_of_padding: f64) -> RouterInput {
    let (size, pad) = (case.group_size, case.padding);
    let pads = case.normal(case.n_groups * pad, 30, &x_td.device()) * size_of_padding;
    let ids = case.ids(case.n_tokens(), 0);
    let mut rows = Vec::new();
    let mut all_ids = Vec::new();
    for group in 0..case.n_groups {
        rows.push(x_td.clone().narrow(0, group * size, size));
        rows.push(pads.clone().narrow(0, group * pad, pad));
        all_ids.extend_from_slice(&ids[group * size..(group + 1) * size]);
        all_ids.extend(vec![0; pad]);
    }
    let marks = (0..case.n_groups * (size + pad)).map(|t| t % (size + pad) >= size);
    RouterInput::new(Tensor::cat(rows, 0))
        .groups(case.n_groups)
        .token_ids(all_ids.into())
        .padding(marks.collect())
}
