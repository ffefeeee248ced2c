//! The law that tokens stay within their groups of experts.

use crate::Load;
use crate::laws::host::Table;
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};
use crate::parts::top_k;
use std::collections::BTreeSet;

pub(super) const LAW: Law = Law {
    name: "expert-groups",
    sentence: "a token's experts lie in at most `topk_groups` groups, whatever the bias; without one they \
               are what trying all choices of groups gives",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    applies(
        subject.has_key("n_groups") && subject.has_key("topk_groups"),
        "no groups of experts",
    )?;
    let router = subject.build(case)?;
    let input = || case.input(case.distinct(&subject.device));
    let table = Table::read(&router.route(input()))?;
    few_groups(&table, case)?;
    brute_force(&table, case)?;

    // a load on all experts but one makes every bias but one negative
    let mut asked = vec![10.0; case.n_experts];
    asked[case.seed as usize % case.n_experts] = 0.0;
    let load = Load {
        n_tokens: asked.iter().sum(),
        kept: asked.clone(),
        asked,
        ..Load::default()
    };
    let mut biased = router.advance(&load);
    for _ in 0..ADVANCES {
        biased = biased.advance(&load);
    }
    few_groups(&Table::read(&biased.route(input()))?, case)
}

/// At the published speed of 0.001 this moves a bias beyond every sigmoid.
const ADVANCES: usize = 1500;

fn few_groups(table: &Table, case: &Case) -> Held {
    let size = case.n_experts / case.expert_groups;
    for t in 0..table.n_tokens() {
        let groups: BTreeSet<usize> = table.experts(t).iter().map(|e| e / size).collect();
        ensure(groups.len() <= case.chosen_groups, || {
            format!(
                "token {t} has experts {:?} in groups {groups:?}, more than {}",
                table.experts(t),
                case.chosen_groups
            )
        })?;
    }
    Ok(())
}

/// The best `k` experts of the best set of groups, where a group scores by its largest probability
/// (DeepSeek-V2) or by the sum of its two largest (DeepSeek-V3).
fn brute_force(table: &Table, case: &Case) -> Held {
    for t in 0..table.n_tokens() {
        let probs: Vec<f32> = (0..case.n_experts).map(|e| table.prob(t, e)).collect();
        let (one, two) = (best(&probs, case, 1), best(&probs, case, 2));
        let found = table.experts(t);
        ensure(found == one || found == two, || {
            format!(
                "token {t} has experts {found:?}; trying all groups gives {two:?} (by two) or {one:?} (by one)"
            )
        })?;
    }
    Ok(())
}

fn best(probs: &[f32], case: &Case, n_best: usize) -> Vec<usize> {
    let size = case.n_experts / case.expert_groups;
    let score = |group: usize| -> f32 {
        let own = &probs[group * size..(group + 1) * size];
        let best = top_k(own, n_best.min(size));
        best.iter().map(|&e| own[e as usize]).sum()
    };
    // every set of groups, as bits; the first of the largest sums wins
    let sets =
        (0u32..1 << case.expert_groups).filter(|s| s.count_ones() as usize == case.chosen_groups);
    let members = |set: u32| (0..case.expert_groups).filter(move |g| set >> g & 1 == 1);
    let mut largest = (f32::NEG_INFINITY, 0);
    for set in sets {
        let sum: f32 = members(set).map(score).sum();
        if sum > largest.0 {
            largest = (sum, set);
        }
    }
    let mut masked = vec![f32::NEG_INFINITY; probs.len()];
    for group in members(largest.1) {
        let own = group * size..(group + 1) * size;
        masked[own.clone()].copy_from_slice(&probs[own]);
    }
    let mut experts: Vec<usize> = top_k(&masked, case.top_k)
        .iter()
        .map(|&e| e as usize)
        .collect();
    experts.sort_unstable();
    experts
}
