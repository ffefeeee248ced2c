//! The seeds of arms: those that all have, and remarks on those that are suspicious.

use super::error::ResultsError;
use super::runs::Numbers;
use super::table::Table;
use crate::ablate::ArmResult;
use std::collections::BTreeSet;

/// The seeds of an arm.
pub(super) fn seeds_of(arm: &ArmResult) -> BTreeSet<u64> {
    arm.seeds.iter().map(|run| run.seed).collect()
}

/// Keeps the seeds that all arms have, and says which were left out.
pub(super) fn only_shared(
    table: &Table,
    arms: &mut [ArmResult],
    is_paired: bool,
    numbers: &Numbers,
) -> Result<Vec<String>, ResultsError> {
    if !is_paired {
        let what = "--paired compares seed against same seed: name the column of seeds with --seed, or the names with --names";
        return Err(table.fault(what));
    }
    let shared = arms
        .iter()
        .map(seeds_of)
        .reduce(|all, own| &all & &own)
        .unwrap_or_default();
    if shared.is_empty() {
        return Err(table.fault(
            "--paired: no seed is in all arms; leave it out to compare independent samples",
        ));
    }
    let mut remarks = Vec::new();
    for arm in arms {
        let more: Vec<String> = seeds_of(arm)
            .difference(&shared)
            .map(|&seed| numbers.name(seed))
            .collect();
        arm.seeds.retain(|run| shared.contains(&run.seed));
        if !more.is_empty() {
            remarks.push(format!(
                "left out of {}, since other arms lack them: seeds {}.",
                arm.label,
                more.join(", ")
            ));
        }
    }
    Ok(remarks)
}

/// A remark on seeds that some arms share and not all.
pub(super) fn partly_shared(arms: &[ArmResult]) -> Option<String> {
    let baseline = seeds_of(arms.first()?);
    let is_partly = |arm: &&ArmResult| {
        let own = seeds_of(arm);
        own != baseline && !own.is_disjoint(&baseline)
    };
    let labels: Vec<&str> = arms
        .iter()
        .filter(is_partly)
        .map(|arm| arm.label.as_str())
        .collect();
    (!labels.is_empty()).then(|| {
        format!(
            "of the seeds of {} only some are the baseline's, so no pairs are made; --paired compares the seeds that all \
             arms have.",
            labels.join(", ")
        )
    })
}

/// A remark on an arm whose scores are all the same.
pub(super) fn repeated(arm: &ArmResult) -> Option<String> {
    let first = arm.seeds.first()?.loss;
    let same = arm.seeds.len() > 1 && arm.seeds.iter().all(|run| run.loss == first);
    same.then(|| {
        format!(
            "all {} scores of {} are equal: if they are copies of one run, or evaluations of one model, they are no seeds, and \
             tests on them mean nothing.",
            arm.seeds.len(),
            arm.label
        )
    })
}
