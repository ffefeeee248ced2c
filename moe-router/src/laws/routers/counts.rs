//! The law of exact numbers of experts a token, or of tokens an expert.

use crate::Family;
use crate::laws::host::Table;
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};
use std::collections::BTreeSet;

pub(super) const LAW: Law = Law {
    name: "exact-counts",
    sentence: "with a fixed k every token asks for exactly k experts; in expert choice every expert has \
               the same number of tokens in each sequence",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    // what balances in training alone is counted there
    let noise = (!router.causality().is_causal_in_training()).then_some(case.seed);
    let routing = router.route(case.input(case.x(&subject.device)).noise(noise));
    let table = Table::read(&routing)?;
    applies(table.sparse, "soft: slots, not assignments")?;
    match subject.family {
        Some(Family::ExpertChoice) if !subject.has_key("top_k") => each_expert(&table),
        Some(Family::TokenChoice | Family::Fixed) if subject.fixed_k() => {
            each_token(&table, case.top_k)
        }
        Some(_) => applies(false, "the number of experts a token is not fixed"),
        None => applies(false, "what decides is not declared: no preset"),
    }
}

fn each_token(table: &Table, top_k: usize) -> Held {
    for (t, row) in table.rows.iter().enumerate() {
        ensure(row.len() == top_k, || {
            format!("token {t} asks for {} experts, not {top_k}", row.len())
        })?;
    }
    Ok(())
}

fn each_expert(table: &Table) -> Held {
    let size = table.group_size();
    for group in 0..table.n_groups {
        let mut counts = vec![0usize; table.n_experts];
        for row in &table.rows[group * size..(group + 1) * size] {
            row.iter().for_each(|entry| counts[entry.expert] += 1);
        }
        let distinct: BTreeSet<_> = counts.iter().collect();
        ensure(distinct.len() == 1, || {
            format!(
                "the experts of sequence {group} take {counts:?} tokens, not the same number each"
            )
        })?;
    }
    Ok(())
}
