//! The law that the dispatch and combine weights of soft routers sum to 1.

use crate::laws::host::{Entry, Table};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "soft-maps",
    sentence: "each slot's shares of the tokens of a sequence sum to 1, and each token's shares of the slots",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let table = Table::read(&router.route(case.input(case.x(&subject.device))))?;
    applies(!table.sparse, "a list of assignments, no slots")?;
    let size = table.group_size();
    for group in 0..table.n_groups {
        let rows = &table.rows[group * size..(group + 1) * size];
        let n_slots = rows.first().map_or(0, |row| row.len() / 2);
        for (m, row) in rows.iter().enumerate() {
            let sum: f32 = row[..n_slots]
                .iter()
                .map(|entry: &Entry| entry.weight)
                .sum();
            ensure((sum - 1.0).abs() < 1e-3, || {
                format!(
                    "the shares that token {m} of sequence {group} has of the slots sum to {sum}"
                )
            })?;
        }
        for slot in n_slots..2 * n_slots {
            let sum: f32 = rows.iter().map(|row| row[slot].weight).sum();
            ensure((sum - 1.0).abs() < 1e-3, || {
                format!(
                    "the shares that slot {} has of sequence {group} sum to {sum}",
                    slot - n_slots
                )
            })?;
        }
    }
    Ok(())
}
