//! Laws that the logits of a token decide: its choice, and its weights.

use super::At;
use super::law::{Findings, Law};
use super::suspects::{suspect_of_choice, suspect_of_weights};
use moe_router::TokenChoice;
use moe_router::parts::{ExpertGroups, kth_largest, top_k};

/// The scores of a token's experts by the rule.
pub(super) struct Ranked<'a> {
    pub(super) rule: TokenChoice,
    pub(super) logits_e: &'a [f32],
    pub(super) bias_e: Option<&'a [f32]>,
    /// The scores that weigh, `[E]`.
    pub(super) scores_e: Vec<f64>,
    /// The scores that choose, in the precision in which engines choose, `[E]`.
    pub(super) ranking_e: Vec<f32>,
}

impl<'a> Ranked<'a> {
    /// The scores, if there are logits that are numbers, and a rule.
    pub(super) fn of(at: &At<'a>) -> Option<Self> {
        let rule = at.reader.meta().rule?;
        let logits_e = at.chunk.layers[at.layer].logits_of(at.t)?;
        if logits_e.iter().any(|logit| logit.is_nan()) {
            return None;
        }
        let bias_e = at.reader.layers()[at.layer].bias.as_deref();
        let scores_e = rule.scores(logits_e);
        let mut ranking_e: Vec<f32> = scores_e.iter().map(|&score| score as f32).collect();
        if let Some(bias_e) = bias_e {
            ranking_e.iter_mut().zip(bias_e).for_each(|(r, b)| *r += b);
        }
        Some(Self {
            rule,
            logits_e,
            bias_e,
            scores_e,
            ranking_e,
        })
    }

    /// The largest score of the choice.
    fn largest(&self) -> f32 {
        let sizes = self.ranking_e.iter().map(|r| r.abs());
        sizes
            .filter(|r| r.is_finite())
            .fold(f32::MIN_POSITIVE, f32::max)
    }

    /// Tells whether two experts have the same score, and not only after rounding.
    fn is_tie(&self, a: usize, b: usize) -> bool {
        let bias = |e: usize| self.bias_e.map(|bias_e| bias_e[e]);
        self.logits_e[a] == self.logits_e[b] && bias(a) == bias(b)
    }
}

/// Checks the choice and the weights of a token.
pub(super) fn check_scores(at: &At<'_>, ranked: &Ranked<'_>, findings: &mut Findings) {
    let experts = at.experts();
    if experts.len() != ranked.rule.top_k {
        return;
    }
    check_choice(at, ranked, &experts, findings);
    check_weights(at, ranked, findings);
}

fn check_choice(at: &At<'_>, ranked: &Ranked<'_>, experts: &[u32], findings: &mut Findings) {
    let slack = (at.tolerance * f64::from(ranked.largest())) as f32;
    let mut allowed = ranked.ranking_e.clone();
    if let Some(groups) = ranked.rule.groups {
        let outside = outside(&groups, &ranked.ranking_e, experts, slack);
        findings.judge(Law::ExpertGroups, outside.is_none(), || {
            let suspect = suspect_of_choice(ranked, experts);
            let expert = outside.unwrap_or_default();
            format!(
                "{} takes expert {expert}, outside of its best groups{suspect}",
                at.words()
            )
        });
        groups.mask(&mut allowed, ranked.ranking_e.len());
        // of groups that are equal up to rounding, the engine took others
        let is_out = |&e: &u32| allowed[e as usize] == f32::NEG_INFINITY;
        if outside.is_some() || experts.iter().any(is_out) {
            return;
        }
    }
    check_best(at, ranked, &Choice::of(&allowed, experts), slack, findings);
}

/// The scores of a token within its groups, apart by its choice.
struct Choice {
    /// The expert of the least score of those that are taken, and that score.
    worst: Option<(usize, f32)>,
    /// The scores of those that are left, `[E]`; minus infinity of the others.
    left: Vec<f32>,
}

impl Choice {
    fn of(allowed: &[f32], experts: &[u32]) -> Self {
        let taken = experts.iter().map(|&e| (e as usize, allowed[e as usize]));
        let left = |(e, &score): (usize, &f32)| {
            if experts.contains(&(e as u32)) {
                f32::NEG_INFINITY
            } else {
                score
            }
        };
        Self {
            worst: taken.min_by(|a, b| a.1.total_cmp(&b.1)),
            left: allowed.iter().enumerate().map(left).collect(),
        }
    }
}

fn check_best(
    at: &At<'_>,
    ranked: &Ranked<'_>,
    choice: &Choice,
    slack: f32,
    findings: &mut Findings,
) {
    let left = &choice.left;
    let (Some((worst, score)), Some(&best)) = (choice.worst, top_k(left, 1).first()) else {
        return;
    };
    let best = best as usize;
    findings.judge(Law::Selection, left[best] <= score + slack, || {
        let suspect = suspect_of_choice(ranked, &at.experts());
        format!(
            "{} takes expert {worst} and not {best}, of scores {score:.6} and {:.6}{suspect}",
            at.words(),
            left[best]
        )
    });
    if at.any_ties {
        return;
    }
    let passed_by = (0..worst).find(|&e| left[e] == score && ranked.is_tie(e, worst));
    findings.judge(Law::Ties, passed_by.is_none(), || {
        let first = passed_by.unwrap_or_default();
        format!(
            "{} takes expert {worst} and not {first}, whose score is the same: ties are broken otherwise than by the index",
            at.words()
        )
    });
}

/// The first expert outside of the best groups, by more than rounding.
fn outside(groups: &ExpertGroups, ranking_e: &[f32], experts: &[u32], slack: f32) -> Option<u32> {
    let length = groups.group_len(ranking_e.len());
    let scores = ranking_e.chunks(length).map(|group| groups.score.of(group));
    let scores: Vec<f32> = scores.collect();
    let least = kth_largest(&scores, groups.topk_groups);
    let mut used: Vec<usize> = Vec::new();
    for &expert in experts {
        let group = expert as usize / length;
        if !used.contains(&group) {
            used.push(group);
        }
        // a sum of two scores moves by twice as much as a score
        if scores[group] < least - 2.0 * slack || used.len() > groups.topk_groups {
            return Some(expert);
        }
    }
    None
}

fn check_weights(at: &At<'_>, ranked: &Ranked<'_>, findings: &mut Findings) {
    let layer = &at.chunk.layers[at.layer];
    let Some(weights) = layer.weights_of(at.t) else {
        return;
    };
    let places = (0..layer.width).filter(|&k| layer.row(at.t)[k] >= 0);
    // a dropped assignment weighs nothing in some engines
    let found: Vec<Option<f64>> = places
        .map(|k| layer.is_kept(at.t, k).then(|| f64::from(weights[k])))
        .collect();
    let experts = at.experts();
    let expected = ranked
        .rule
        .weights(ranked.logits_e, &ranked.scores_e, &experts);
    let tolerance = at.tolerance.max(at.of_layer().weight_step);
    let wrong = first_wrong(&found, &expected, tolerance);
    findings.judge(Law::Weights, wrong.is_none(), || {
        let k = wrong.unwrap_or_default();
        let suspect = suspect_of_weights(ranked, &experts, |expected| {
            first_wrong(&found, expected, tolerance).is_none()
        });
        format!(
            "{} weighs expert {} by {:.6}, and by its logits it is {:.6}{suspect}",
            at.words(),
            experts[k],
            found[k].unwrap_or_default(),
            expected[k],
        )
    });
}

/// The first weight that is not as expected.
fn first_wrong(found: &[Option<f64>], expected: &[f64], tolerance: f64) -> Option<usize> {
    let pairs = found.iter().zip(expected);
    let is_right = |(found, expected): (&Option<f64>, &f64)| {
        found.is_none_or(|found| (found - expected).abs() <= tolerance * expected.abs().max(1.0))
    };
    pairs.map(is_right).position(|is_right| !is_right)
}
