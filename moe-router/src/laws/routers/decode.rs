//! The law that decoding token by token routes as the whole sequence does.

use crate::RouterInput;
use crate::laws::host::{Table, difference};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "decode",
    sentence: "token by token from a cache gives the routing of the whole sequence, for causal routers \
               that drop nothing",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    applies(router.causality().is_causal(), "declared not causal")?;
    let x_td = case.distinct(&subject.device);
    let ids = case.ids(case.n_tokens(), 0);
    let whole = Table::read(&router.route(case.input(x_td.clone())))?;
    applies(!whole.drops(), "this case drops tokens at capacity")?;
    for (t, &id) in ids.iter().enumerate() {
        let start = t % case.group_size;
        let input = RouterInput::new(x_td.clone().narrow(0, t, 1))
            .token_ids([id].into())
            .start(start);
        let step = Table::read(&router.route(input))?;
        let changed = difference(&whole.rows[t], &step.rows[0], 1e-4);
        ensure(changed.is_none(), || {
            format!(
                "the token at position {start} of its sequence, whole and by itself: {}",
                changed.unwrap_or_default()
            )
        })?;
    }
    Ok(())
}
