//! The law that weights sum to the same for every token, or follow the scores.

use crate::Family;
use crate::laws::host::{Entry, Table, show};
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "weights",
    sentence: "what a token's experts weigh sums to the same for every token, or is the score itself: of \
               two scores the larger never weighs less",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let routing = router.route(case.input(case.distinct(&subject.device)));
    let table = Table::read(&routing)?;
    applies(table.sparse, "soft: see the law soft-maps")?;
    applies(!table.drops(), "this case drops tokens at capacity")?;
    within_tokens(&table)?;
    applies(
        subject.family != Some(Family::ExpertChoice),
        "a token that is let in may weigh by that score too",
    )?;
    ensure(
        sums_agree(&table) || is_monotone(&table, Table::prob) || is_monotone(&table, Table::logit),
        || {
            let rows = table.rows.iter().take(4).map(|row| show(row));
            format!(
                "weights neither sum to a constant nor grow with the scores: {}",
                rows.collect::<Vec<_>>().join("; ")
            )
        },
    )
}

/// Checks that of two experts of a token, the one with the larger probability does not weigh less.
fn within_tokens(table: &Table) -> Held {
    for (t, row) in table.rows.iter().enumerate() {
        for a in row {
            for b in row {
                let higher = table.prob(t, a.expert) > table.prob(t, b.expert) + 1e-5;
                ensure(!higher || a.weight >= b.weight - 1e-5, || {
                    format!(
                        "token {t}: expert {} has probability {} and weight {}, expert {} has {} and {}",
                        a.expert,
                        table.prob(t, a.expert),
                        a.weight,
                        b.expert,
                        table.prob(t, b.expert),
                        b.weight
                    )
                })?;
            }
        }
    }
    Ok(())
}

/// Tokens with the most experts sum to the same, and a token whose second choice was not asked for to no
/// more: the mass that is kept.
fn sums_agree(table: &Table) -> bool {
    let most = table.rows.iter().map(Vec::len).max().unwrap_or(0);
    let sum = |row: &Vec<Entry>| row.iter().map(|entry| entry.weight).sum::<f32>();
    let full = table.rows.iter().find(|row| row.len() == most).map(sum);
    let full = full.unwrap_or(0.0);
    let tolerance = 1e-4 * (1.0 + full);
    table.rows.iter().all(|row| {
        let short = row.len() < most && sum(row) <= full + tolerance;
        short || (sum(row) - full).abs() <= tolerance
    })
}

fn is_monotone(table: &Table, score: fn(&Table, usize, usize) -> f32) -> bool {
    let mut pairs: Vec<(f32, f32)> = table
        .entries()
        .map(|(t, entry)| (score(table, t, entry.expert), entry.weight))
        .collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    pairs.windows(2).all(|pair| pair[0].1 <= pair[1].1 + 1e-4)
}
