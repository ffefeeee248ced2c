use crate::Load;
use crate::laws::host::{Table, difference};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Specimen, Subject};

pub(super) const LAW: Law = Law {
    name: "advance",
    sentence: "after steps in which one expert took everything, no more tokens ask for it than before",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let input = || case.input(case.distinct(&subject.device));
    let before = Table::read(&router.route(input()))?;
    let after = advanced(&*router, &one_sided(case), 300);
    let after = Table::read(&after.route(input()))?;
    applies(
        !same_routing(&before, &after),
        "advancing changes no routing",
    )?;
    let expert = overloaded(case);
    let asks = |table: &Table| {
        let own = table.entries().filter(|(_, entry)| entry.expert == expert);
        own.count()
    };
    let (before, after) = (asks(&before), asks(&after));
    ensure(after <= before, || {
        format!(
            "expert {expert} took everything in 300 steps, and then {after} tokens ask for it instead of {before}"
        )
    })
}

/// The expert that takes everything in [`one_sided`].
pub(super) fn overloaded(case: &Case) -> usize {
    case.seed as usize % case.n_experts
}

/// A load that one expert bears alone.
pub(super) fn one_sided(case: &Case) -> Load {
    let mut asked = vec![0.0; case.n_experts];
    asked[overloaded(case)] = (case.n_tokens() * case.top_k) as f64;
    Load {
        kept: asked.clone(),
        asked,
        n_tokens: case.n_tokens() as f64,
    }
}

/// The router after steps of the same load.
pub(super) fn advanced(router: &dyn Specimen, load: &Load, steps: usize) -> Box<dyn Specimen> {
    let first = router.advance(load);
    (1..steps).fold(first, |router, _| router.advance(load))
}

/// Whether two routings agree bit by bit.
pub(super) fn same_routing(a: &Table, b: &Table) -> bool {
    let mut rows = a.rows.iter().zip(&b.rows);
    rows.all(|(a, b)| difference(a, b, 0.0).is_none())
}
