//! The law that the sequences of a batch do not influence each other.

use crate::RouterInput;
use crate::laws::host::{Table, difference};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "batch-neighbours",
    sentence: "a sequence is routed alike alone and in a batch: groups never mix",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    applies(case.n_groups > 1, "one sequence")?;
    let router = subject.build(case)?;
    let x_td = case.distinct(&subject.device);
    let ids = case.ids(case.n_tokens(), 0);
    let batch = Table::read(&router.route(case.input(x_td.clone())))?;
    let size = case.group_size;
    for group in 0..case.n_groups {
        let x_md = x_td.clone().narrow(0, group * size, size);
        let ids = ids[group * size..(group + 1) * size].into();
        let alone = RouterInput::new(x_md).token_ids(ids);
        let alone = Table::read(&router.route(alone))?;
        for m in 0..size {
            let changed = difference(&alone.rows[m], &batch.rows[group * size + m], 1e-4);
            ensure(changed.is_none(), || {
                format!(
                    "token {m} of sequence {group} alone and in the batch: {}",
                    changed.unwrap_or_default()
                )
            })?;
        }
    }
    Ok(())
}
