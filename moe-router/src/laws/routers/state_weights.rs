//! The law that state of the router chooses experts and does not weigh them.

use super::advance::{overworked, same_routing};
use crate::laws::host::{Table, difference};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "state-and-weights",
    sentence: "state that the trainer advances decides who is chosen, never what a chosen expert weighs",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let input = || case.input(case.distinct(&subject.device));
    let before = Table::read(&router.route(input()))?;
    let after = overworked(&*router, subject, case)?;
    let after = Table::read(&after.route(input()))?;
    applies(
        !same_routing(&before, &after),
        "in this case advancing changes no routing",
    )?;
    for t in 0..before.n_tokens() {
        if before.experts(t) != after.experts(t) {
            continue;
        }
        let changed = difference(&before.rows[t], &after.rows[t], 1e-6);
        ensure(changed.is_none(), || {
            format!(
                "token {t} keeps its experts when the state advances, but not their weights: {}",
                changed.unwrap_or_default()
            )
        })?;
    }
    Ok(())
}
