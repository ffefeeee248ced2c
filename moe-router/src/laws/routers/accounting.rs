//! The law that assignments are distinct and all accounted for.

use crate::laws::host::{Table, show};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "accounting",
    sentence: "no token goes to an expert twice, and kept plus dropped assignments are those asked for",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let routing = router.route(case.input(case.x(&subject.device)));
    let table = Table::read(&routing)?;
    applies(table.sparse, "soft: slots, not assignments")?;
    for (t, row) in table.rows.iter().enumerate() {
        let mut experts = table.experts(t);
        experts.dedup();
        ensure(experts.len() == row.len(), || {
            format!("token {t} goes to an expert twice: {}", show(row))
        })?;
    }
    let load = routing.load();
    let asked: f64 = load.asked.iter().sum();
    let kept: f64 = load.kept.iter().sum();
    let dropped = table.entries().filter(|(_, entry)| !entry.kept).count();
    ensure(asked == kept + dropped as f64, || {
        format!("{asked} asked for, {kept} kept and {dropped} dropped")
    })
}
