//! The law that ties go to the lowest index.

use crate::Family;
use crate::laws::host::{Table, choice_is_learned, show};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "ties",
    sentence: "of equal scores the lowest index wins: experts for a token, tokens for an expert",
    check,
    if_never: "",
};

/// Weights with equal columns, and tokens that are zero, make all experts of a token tie.
fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    choice_is_learned(&*router, &case.input(case.distinct(&subject.device)))?;
    let zeros = case.distinct(&subject.device) * 0.0;
    let table = Table::read(&router.route(case.input(zeros)))?;
    applies(table.sparse, "soft: nothing is chosen")?;
    match subject.family {
        Some(Family::ExpertChoice) => lowest_tokens(&table),
        _ if router.causality().is_causal() => {
            lowest_experts(&table)?;
            let flat = router.edited(&mut |shape, values| {
                if let [_, n_experts] = shape {
                    let n = *n_experts;
                    (0..values.len()).for_each(|i| values[i] = values[i - i % n]);
                }
            });
            let x_td = case.distinct(&subject.device);
            lowest_experts(&Table::read(&flat.route(case.input(x_td)))?)
        }
        _ => applies(false, "the whole sequence decides, not a token's scores"),
    }
}

/// A token whose scores are all the same has experts `0..n`.
fn lowest_experts(table: &Table) -> Held {
    for (t, row) in table.rows.iter().enumerate() {
        let first = table.logit(t, 0);
        if (0..table.n_experts).any(|e| table.logit(t, e).to_bits() != first.to_bits()) {
            continue;
        }
        let lowest: Vec<usize> = (0..row.len()).collect();
        ensure(table.experts(t) == lowest, || {
            format!(
                "all scores of token {t} are {first}, and it goes to {}",
                show(row)
            )
        })?;
    }
    Ok(())
}

/// Each expert has the first tokens of each sequence.
fn lowest_tokens(table: &Table) -> Held {
    let size = table.group_size();
    for expert in 0..table.n_experts {
        for group in 0..table.n_groups {
            let has = |m: &usize| {
                let row = &table.rows[group * size + m];
                row.iter().any(|entry| entry.expert == expert)
            };
            let tokens: Vec<usize> = (0..size).filter(has).collect();
            ensure(tokens.iter().enumerate().all(|(i, &m)| i == m), || {
                format!(
                    "all tokens are the same, and expert {expert} takes tokens {tokens:?} of a sequence"
                )
            })?;
        }
    }
    Ok(())
}
