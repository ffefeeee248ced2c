//! The rows of a plan's table: arms, each in each evaluation.

use super::{AblateError, PlannedArm, TestedArm};
use crate::ablate::Arm;
use crate::ablate::claim::evaluated;
use crate::ablate::sweep::value_of;
use moe_train::config::RunConfig;
use moe_train::resolve::key_hint;
use toml::Table;

fn as_trained((place, arm): (usize, &PlannedArm)) -> TestedArm {
    TestedArm {
        label: arm.label.clone(),
        arm: place,
        evaluation: None,
        config: arm.config.clone(),
    }
}

/// Each arm in each evaluation, or as it was trained if there is none.
pub(super) fn tested(
    arms: &[PlannedArm],
    evaluations: &[Arm],
) -> Result<Vec<TestedArm>, AblateError> {
    let places = || arms.iter().enumerate();
    if evaluations.is_empty() {
        return Ok(places().map(as_trained).collect());
    }
    let pairs = evaluations
        .iter()
        .flat_map(|way| places().map(move |(place, arm)| (way, place, arm)));
    pairs
        .map(|(way, place, arm)| {
            let label = evaluated(&arm.label, &way.label);
            let config = scored_as(&arm.config, &label, way)?;
            Ok(TestedArm {
                label,
                arm: place,
                evaluation: Some(way.clone()),
                config,
            })
        })
        .collect()
}

/// The configuration of a row that is evaluated in another way than its arm was trained.
pub(super) fn scored_as(
    config: &RunConfig,
    label: &str,
    way: &Arm,
) -> Result<RunConfig, AblateError> {
    config
        .evaluated_with(&way.overrides)
        .map_err(|source| AblateError::Arm {
            label: label.to_owned(),
            source: Box::new(source),
        })
}

/// The arms of a trend by the rising value of its key.
pub(super) fn ordered(
    arms: &[String],
    key: &str,
    rows: &[TestedArm],
) -> Result<Vec<String>, AblateError> {
    let unordered = |reason: String| AblateError::Unordered {
        key: key.to_owned(),
        reason,
    };
    let mut places = Vec::new();
    for arm in arms {
        let row = rows.iter().find(|row| row.label == *arm);
        let value = row.and_then(|row| value_of(&row.config, key));
        let value = value.ok_or_else(|| unordered(format!("`{arm}` has no number")))?;
        if let Some((_, other)) = places.iter().find(|(x, _)| *x == value) {
            return Err(unordered(format!(
                "`{other}` and `{arm}` both have {value}"
            )));
        }
        places.push((value, arm.clone()));
    }
    places.sort_by(|(x, _), (y, _)| x.total_cmp(y));
    Ok(places.into_iter().map(|(_, arm)| arm).collect())
}

/// Refuses a curve over a key that no arm has.
pub(super) fn check_sweep(key: &str, arms: &[PlannedArm]) -> Result<(), AblateError> {
    let hint = |arm: &PlannedArm| {
        let table = Table::try_from(&arm.config).expect("a configuration is a table");
        key_hint(key, &table)
    };
    let hints: Option<Vec<String>> = arms.iter().map(hint).collect();
    match hints.and_then(|hints| hints.into_iter().next()) {
        Some(hint) => Err(AblateError::Sweep {
            key: key.into(),
            hint,
        }),
        None => Ok(()),
    }
}
