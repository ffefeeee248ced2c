//! The law that routings are well formed.

use crate::laws::host::Table;
use crate::laws::law::ensure;
use crate::laws::{Case, Held, Law, Subject};
use crate::{RouterInput, Routing};
use std::sync::Arc;

pub(super) const LAW: Law = Law {
    name: "well-formed",
    sentence: "shapes fit the input; tokens and experts exist; numbers are finite, weights not negative, \
               probabilities from 0 to 1; groups and padding are passed on",
    check,
    if_never: "the router could not be built for any case",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let mut input = case.input(case.x(&subject.device));
    if case.seed.is_multiple_of(2) {
        let last = |t: usize| t % case.group_size == case.group_size - 1;
        let padding: Arc<[bool]> = (0..case.n_tokens()).map(last).collect();
        input = input.padding(padding);
    }
    for noise in [None, Some(case.seed)] {
        let input = input.clone().noise(noise);
        fits(&router.route(input.clone()), &input, case)?;
    }
    Ok(())
}

fn fits(routing: &Routing, input: &RouterInput, case: &Case) -> Held {
    let expected = [case.n_tokens(), routing.n_experts()];
    ensure(routing.n_computed_experts() == case.n_experts, || {
        format!(
            "logits of shape {:?} for {} experts",
            routing.logits.dims(),
            case.n_experts
        )
    })?;
    for (name, dims) in [
        ("logits", routing.logits.dims()),
        ("probs", routing.probs().dims()),
    ] {
        ensure(dims == expected, || {
            format!("{name} of shape {dims:?}, not [T, E] = {expected:?}")
        })?;
    }
    ensure(routing.n_groups == input.n_groups, || {
        format!(
            "a routing of {} groups for an input of {}: call `.groups(input.n_groups)`",
            routing.n_groups, input.n_groups
        )
    })?;
    ensure(routing.padding == input.padding, || {
        "the padding is not passed on: call `.padding(input.padding)`".to_owned()
    })?;
    numbers(&Table::read(routing)?, input)
}

fn numbers(table: &Table, input: &RouterInput) -> Held {
    for (t, entry) in table.entries() {
        ensure(entry.weight.is_finite() && entry.weight >= 0.0, || {
            format!(
                "token {t} has weight {} for expert {}: weights are finite and not negative",
                entry.weight, entry.expert
            )
        })?;
    }
    for t in (0..table.n_tokens()).filter(|&t| !input.is_padding(t)) {
        for e in 0..table.n_experts {
            let (logit, prob) = (table.logit(t, e), table.prob(t, e));
            ensure(!logit.is_nan() && logit != f32::INFINITY, || {
                format!("the score of token {t} for expert {e} is {logit}")
            })?;
            ensure((0.0..=1.0 + 1e-4).contains(&prob), || {
                format!("the probability of token {t} for expert {e} is {prob}")
            })?;
        }
    }
    Ok(())
}
