//! What arms must have in common to stand in one table.

use super::{ArmReport, Pairing, TableError};
use std::collections::BTreeSet;

pub(super) fn check_arms(arms: &[ArmReport], pairing: Pairing) -> Result<(), TableError> {
    let mut labels = BTreeSet::new();
    for arm in arms {
        if !labels.insert(&arm.label) {
            return Err(TableError::DuplicateLabel {
                label: arm.label.clone(),
            });
        }
        let (seeds, baseline_seeds) = (seed_list(arm), seed_list(&arms[0]));
        if pairing == Pairing::Required && seeds != baseline_seeds {
            return Err(TableError::Unpaired {
                label: arm.label.clone(),
                seeds,
                baseline: arms[0].label.clone(),
                baseline_seeds,
            });
        }
    }
    Ok(())
}

fn seed_list(arm: &ArmReport) -> String {
    let seeds: Vec<String> = arm.seeds.iter().map(|r| r.seed.to_string()).collect();
    seeds.join(", ")
}
