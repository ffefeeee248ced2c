//! The law that advancing the state moves the load towards balance.

use crate::laws::host::{Table, difference};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Specimen, Stop, Subject};
use crate::parts::top_k;
use crate::{Load, RouterInput, Routing, to_vec};

pub(super) const LAW: Law = Law {
    name: "advance",
    sentence: "after steps in which an expert was every token's first choice, no more tokens ask for it than before",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let [before, after] = around_steps(&*router, subject, case)?;
    let expert = favourite(&router.route(one_token(subject, case)));
    let asks = |table: &Table| {
        let own = table.entries().filter(|(_, entry)| entry.expert == expert);
        own.count()
    };
    let (before, after) = (asks(&before), asks(&after));
    ensure(after <= before, || {
        format!(
            "expert {expert} was every token's first choice for {STEPS} steps, and then {after} tokens ask \
             for it instead of {before}"
        )
    })
}

/// The routing of the case's tokens before and after steps that change it.
pub(super) fn around_steps(
    router: &dyn Specimen,
    subject: &Subject<'_>,
    case: &Case,
) -> Result<[Table; 2], Stop> {
    let input = || case.input(case.distinct(&subject.device));
    let before = Table::read(&router.route(input()))?;
    let after = overworked(router, subject, case)?;
    let after = Table::read(&after.route(input()))?;
    applies(
        !same_routing(&before, &after),
        "in this case advancing changes no routing",
    )?;
    Ok([before, after])
}

/// Steps enough for a bias that moves by 0.001.
pub(super) const STEPS: usize = 150;

/// The router after steps on batches of one token, repeated.
///
/// # Errors
///
/// The laws of state do not apply to a router that has none.
pub(super) fn overworked(
    router: &dyn Specimen,
    subject: &Subject<'_>,
    case: &Case,
) -> Result<Box<dyn Specimen>, Stop> {
    let load = |router: &dyn Specimen| router.route(one_token(subject, case)).load();
    let first = router.advance(&load(router));
    applies(first.state() != router.state(), "nothing to advance")?;
    Ok(advanced(first, STEPS - 1, load))
}

fn one_token(subject: &Subject<'_>, case: &Case) -> RouterInput {
    let x_1d = case.normal(1, 70, &subject.device);
    case.input(x_1d.repeat_dim(0, case.n_tokens()))
}

/// The first choice of the first token.
fn favourite(routing: &Routing) -> usize {
    let probs = to_vec(routing.probs());
    top_k(&probs[..routing.n_experts()], 1)[0] as usize
}

/// The router after steps, each of the load that `load` reads off the router as it is.
pub(super) fn advanced(
    router: Box<dyn Specimen>,
    steps: usize,
    load: impl Fn(&dyn Specimen) -> Load,
) -> Box<dyn Specimen> {
    (0..steps).fold(router, |router, _| router.advance(&load(&*router)))
}

/// Returns `true` if two routings agree bit by bit.
pub(super) fn same_routing(a: &Table, b: &Table) -> bool {
    let mut rows = a.rows.iter().zip(&b.rows);
    rows.all(|(a, b)| difference(a, b, 0.0).is_none())
}
