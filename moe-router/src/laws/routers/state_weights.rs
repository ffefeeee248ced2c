//! The law that state of the router chooses experts and does not weigh them.

use super::advance::around_steps;
use crate::laws::host::difference;
use crate::laws::law::ensure;
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "state-and-weights",
    sentence: "state that the trainer advances decides who is chosen, never what a chosen expert weighs",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let [before, after] = around_steps(&*router, subject, case)?;
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
