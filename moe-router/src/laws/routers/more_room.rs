//! The law that a larger capacity factor drops no further token.

use crate::laws::host::{Table, show};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};
use serde_json::Value;

pub(super) const LAW: Law = Law {
    name: "more-room",
    sentence: "a larger capacity factor never drops a token that a smaller one kept",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let factor = subject.default_number("capacity_factor");
    let Some(factor) = factor else {
        return applies(false, "no key `capacity_factor`");
    };
    let x_td = case.distinct(&subject.device);
    let route = |times: f64| {
        let values = [("capacity_factor", Value::from(factor * times))];
        let router = subject.build_with(case, &values, &subject.device)?;
        Table::read(&router.route(case.input(x_td.clone())))
    };
    let (less, more) = (route(0.5)?, route(1.0)?);
    for (t, entry) in less.entries().filter(|(_, entry)| entry.kept) {
        let still = |other: &&crate::laws::host::Entry| other.kept && other.expert == entry.expert;
        ensure(more.rows[t].iter().find(still).is_some(), || {
            format!(
                "token {t} keeps expert {} at half the capacity, and gets {} at all of it",
                entry.expert,
                show(&more.rows[t])
            )
        })?;
    }
    Ok(())
}
