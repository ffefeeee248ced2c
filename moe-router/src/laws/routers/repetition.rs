//! The law that the same input gives the same routing.

use crate::laws::host::{Table, difference};
use crate::laws::law::ensure;
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "repetition",
    sentence: "routing changes nothing: the same input gives the same routing, whatever was routed between",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let device = &subject.device;
    for noise in [None, Some(case.seed)] {
        let input = || case.input(case.x(device)).noise(noise);
        let before = Table::read(&router.route(input()))?;
        for key in 10..14 {
            let other = case.input(case.normal(case.n_tokens(), key, device));
            let _ = router.route(other.clone());
            let _ = router.route(other.noise(Some(key)));
        }
        let after = Table::read(&router.route(input()))?;
        for t in 0..before.n_tokens() {
            let changed = difference(&before.rows[t], &after.rows[t], 0.0);
            ensure(changed.is_none(), || {
                format!(
                    "token {t} is routed otherwise the second time: {}",
                    changed.unwrap_or_default()
                )
            })?;
        }
    }
    Ok(())
}
