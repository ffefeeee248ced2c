//! The law that routers are as causal as they declare.

use crate::RouterInput;
use crate::laws::host::{Table, difference};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Specimen, Stop, Subject};
use burn::tensor::{Device, Tensor};

pub(super) const LAW: Law = Law {
    name: "causality",
    sentence: "other later tokens leave the routing of earlier ones as it was, bit by bit, if the router \
               is declared causal, in evaluation and in training; one that is declared to leak does leak",
    check,
    if_never: "it declares a leak that cannot be found",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    applies(case.group_size > 1, "one token a sequence")?;
    let router = subject.build(case)?;
    let causality = router.causality();
    let evaluation = (None, causality.is_causal());
    let training = (Some(case.seed), causality.is_causal_in_training());
    let mut shown = false;
    for (noise, is_causal) in [evaluation, training] {
        let found = first_leak(&*router, case, noise, &subject.device)?;
        shown |= found.is_some();
        ensure(!is_causal || found.is_none(), || found.unwrap_or_default())?;
    }
    if shown || causality.is_causal_in_training() {
        Ok(())
    } else {
        Err(Stop::not_applicable(
            "no later token changed an earlier one",
        ))
    }
}

fn first_leak(
    router: &dyn Specimen,
    case: &Case,
    noise: Option<u64>,
    device: &Device,
) -> Result<Option<String>, Stop> {
    for key in 0..4 {
        let found = leak(router, case, key, noise, device)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Describes a difference of an earlier token's routing after later ones were replaced, if there is one.
fn leak(
    router: &dyn Specimen,
    case: &Case,
    key: u64,
    noise: Option<u64>,
    device: &Device,
) -> Result<Option<String>, Stop> {
    let cut = 1 + (case.seed + key) as usize % (case.group_size - 1);
    let x_td = case.x(device);
    let before = Table::read(&router.route(case.input(x_td.clone()).noise(noise)))?;
    let after = Table::read(&router.route(replaced(case, &x_td, cut, key).noise(noise)))?;
    for t in (0..case.n_tokens()).filter(|t| t % case.group_size < cut) {
        if let Some(change) = difference(&before.rows[t], &after.rows[t], 0.0) {
            let (group, m) = (t / case.group_size, t % case.group_size);
            return Ok(Some(format!(
                "tokens {cut}.. of sequence {group} were replaced, and token {m} is routed otherwise: {change}"
            )));
        }
    }
    Ok(None)
}

/// The input with other tokens and ids from place `cut` on in each sequence.
fn replaced(case: &Case, x_td: &Tensor<2>, cut: usize, key: u64) -> RouterInput {
    let scale = [1.0, 9.0][key as usize % 2];
    let other = case.normal(case.n_tokens(), 20 + key, &x_td.device()) * scale;
    let mut ids = case.ids(case.n_tokens(), 0);
    let other_ids = case.ids(case.n_tokens(), 20 + key);
    let mut rows = Vec::new();
    for group in 0..case.n_groups {
        let first = group * case.group_size;
        let rest = case.group_size - cut;
        rows.push(x_td.clone().narrow(0, first, cut));
        rows.push(other.clone().narrow(0, first + cut, rest));
        let later = first + cut..first + case.group_size;
        ids[later.clone()].copy_from_slice(&other_ids[later]);
    }
    case.input(Tensor::cat(rows, 0)).token_ids(ids.into())
}
