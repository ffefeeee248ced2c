//! The law of the order in which tokens are dropped.

use crate::laws::host::{Entry, Table};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "drop-order",
    sentence: "of two tokens that ask for an expert, a causal router drops the later; another never drops \
               the one that is earlier, scores higher and ranks the expert no lower",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let table = Table::read(&router.route(case.input(case.x(&subject.device))))?;
    applies(table.drops(), "no token is dropped")?;
    let causal = router.causality().is_causal();
    for expert in 0..table.n_experts {
        let asked: Vec<(usize, &Entry)> = table
            .entries()
            .filter(|(_, entry)| entry.expert == expert)
            .collect();
        for (dropped, _) in asked.iter().filter(|(_, entry)| !entry.kept) {
            let later = asked.iter().filter(|(t, entry)| entry.kept && t > dropped);
            for (kept, _) in later.filter(|(t, _)| same_group(&table, *t, *dropped)) {
                let beaten = !causal && !dominates(&table, *dropped, *kept, expert);
                ensure(beaten, || {
                    format!(
                        "expert {expert} drops token {dropped} and keeps the later token {kept}"
                    )
                })?;
            }
        }
    }
    Ok(())
}

fn same_group(table: &Table, a: usize, b: usize) -> bool {
    a / table.group_size() == b / table.group_size()
}

/// Returns `true` if token `a` scores higher for the expert and ranks it no lower than `b` does.
fn dominates(table: &Table, a: usize, b: usize, expert: usize) -> bool {
    let rank = |t: usize| {
        let score = table.prob(t, expert);
        let higher = table.rows[t]
            .iter()
            .filter(|e| table.prob(t, e.expert) > score);
        higher.count()
    };
    let best = |t: usize| {
        (0..table.n_experts)
            .map(|e| table.prob(t, e))
            .fold(0.0, f32::max)
    };
    table.prob(a, expert) > table.prob(b, expert) && best(a) > best(b) && rank(a) <= rank(b)
}
