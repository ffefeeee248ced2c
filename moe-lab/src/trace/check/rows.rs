//! Laws of a token's row by itself.

use super::At;
use super::law::{Findings, Law};
use moe_checkpoint::trace::NO_EXPERT;
use moe_router::TokenChoice;
use moe_router::parts::Normalise;

/// Checks the row of a token.
pub(super) fn check_row(at: &At<'_>, findings: &mut Findings) {
    let layer = &at.chunk.layers[at.layer];
    let row: Vec<i32> = layer
        .row(at.t)
        .iter()
        .copied()
        .filter(|&e| e != NO_EXPERT)
        .collect();
    if at.chunk.mask.is_some() {
        let is_right = !at.chunk.is_padding(at.t) || row.is_empty();
        findings.judge(Law::Padding, is_right, || {
            format!(
                "{}, which is padding, goes to expert {}",
                at.words(),
                row[0]
            )
        });
    }
    if at.chunk.is_padding(at.t) {
        return;
    }
    check_experts(at, &row, findings);
    if let Some(rule) = at.reader.meta().rule {
        findings.judge(Law::Counts, row.len() == rule.top_k, || {
            format!(
                "{} has {} experts, of top-k {}",
                at.words(),
                row.len(),
                rule.top_k
            )
        });
    }
    check_numbers(at, findings);
}

fn check_experts(at: &At<'_>, row: &[i32], findings: &mut Findings) {
    let n_experts = at.n_experts();
    let exists = |expert: &&i32| usize::try_from(**expert).is_ok_and(|e| e < n_experts);
    let missing = row.iter().find(|expert| !exists(expert));
    findings.judge(Law::Experts, missing.is_none(), || {
        let expert = missing.copied().unwrap_or_default();
        format!(
            "{} goes to expert {expert} of {n_experts}, from 0",
            at.words()
        )
    });
    let twice = row
        .iter()
        .enumerate()
        .find(|(k, expert)| row[..*k].contains(expert));
    findings.judge(Law::Distinct, twice.is_none(), || {
        let expert = twice.map_or(0, |(_, expert)| *expert);
        format!("{} goes to expert {expert} twice", at.words())
    });
}

fn check_numbers(at: &At<'_>, findings: &mut Findings) {
    let layer = &at.chunk.layers[at.layer];
    let taken = |k: &usize| layer.row(at.t)[*k] != NO_EXPERT;
    let logits = layer.logits_of(at.t);
    let weights: Option<Vec<f32>> = layer.weights_of(at.t).map(|weights| {
        let places = (0..layer.width).filter(taken);
        places.map(|k| weights[k]).collect()
    });
    if weights.is_none() && logits.is_none() {
        return;
    }
    let is_weight = |weight: &&f32| weight.is_finite() && **weight >= 0.0;
    let bad_weight = weights.iter().flatten().find(|weight| !is_weight(weight));
    let bad_logit = logits.and_then(|logits| logits.iter().find(|logit| logit.is_nan()));
    findings.judge(Law::Finite, bad_weight.or(bad_logit).is_none(), || {
        let what = if bad_weight.is_some() {
            "weight"
        } else {
            "logit"
        };
        let number = bad_weight.or(bad_logit).copied().unwrap_or_default();
        format!("{} has a {what} of {number}", at.words())
    });
    let is_whole = (0..layer.width)
        .filter(taken)
        .all(|k| layer.is_kept(at.t, k));
    if let (Some(weights), None, true) = (&weights, bad_weight, is_whole) {
        check_sum(at, weights, findings);
    }
}

/// Checks the sum of the weights of a token, none of which was dropped.
fn check_sum(at: &At<'_>, weights: &[f32], findings: &mut Findings) {
    let rule = at.reader.meta().rule;
    let divides = |rule: &TokenChoice| rule.normalise != Normalise::None;
    let Some(rule) = rule.filter(|rule| divides(rule) && weights.len() == rule.top_k) else {
        return;
    };
    let sum: f64 = weights.iter().copied().map(f64::from).sum();
    let steps = at.of_layer().weight_step * rule.top_k as f64;
    let is_right = (sum - rule.scale).abs() <= rule.scale * at.tolerance.max(steps);
    findings.judge(Law::Sum, is_right, || {
        let words = at.words();
        format!(
            "the weights of {words} sum to {sum:.6}, not to {}",
            rule.scale
        )
    });
}
