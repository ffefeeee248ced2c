//! Well-known mistakes that a wrong choice or a wrong weight is compared with, so that it can be named.

use super::scores::Ranked;
use moe_router::TokenChoice;
use moe_router::parts::{ExpertGroups, GroupScore, Normalise, Score, top_k};

/// The mistake that gives a token's choice, in words; none known is no words.
pub(super) fn suspect_of_choice(ranked: &Ranked<'_>, experts: &[u32]) -> String {
    let unbiased: Vec<f32> = ranked.scores_e.iter().map(|&score| score as f32).collect();
    let mut taken = experts.to_vec();
    taken.sort_unstable();
    let is_taken = |allowed: &[f32]| {
        let mut best = top_k(allowed, taken.len());
        best.sort_unstable();
        best == taken
    };
    let masked = |groups: &ExpertGroups, scores: &[f32]| {
        let mut allowed = scores.to_vec();
        groups.mask(&mut allowed, scores.len());
        allowed
    };
    let of_groups = ranked.rule.groups.and_then(|groups| {
        let mut with_zero = masked(&groups, &ranked.ranking_e);
        for score in &mut with_zero {
            if *score == f32::NEG_INFINITY {
                *score = 0.0;
            }
        }
        let other = match groups.score {
            GroupScore::Max => GroupScore::TopTwoSum,
            GroupScore::TopTwoSum => GroupScore::Max,
        };
        let by_other = ExpertGroups {
            score: other,
            ..groups
        };
        if is_taken(&with_zero) {
            Some("groups are masked with zero, which is more than a negative score")
        } else if is_taken(&masked(&by_other, &ranked.ranking_e)) {
            Some("groups are ranked by another score of theirs")
        } else if is_taken(&ranked.ranking_e) {
            Some("there is no limit to groups")
        } else if ranked.bias_e.is_some() && is_taken(&masked(&groups, &unbiased)) {
            Some("the bias is left out of the choice")
        } else {
            None
        }
    });
    let of_bias = || {
        let is_left_out = ranked.bias_e.is_some() && is_taken(&unbiased);
        is_left_out.then_some("the bias is left out of the choice")
    };
    suspected(of_groups.or_else(of_bias))
}

/// The mistake that gives a token's weights, in words; none known is no words.
pub(super) fn suspect_of_weights(
    ranked: &Ranked<'_>,
    experts: &[u32],
    is_found: impl Fn(&[f64]) -> bool,
) -> String {
    let (rule, scores) = (ranked.rule, &ranked.scores_e);
    let by = |rule: TokenChoice, scores: &[f64]| is_found(&rule.weights(scores, experts));
    let again: Vec<f32> = scores.iter().map(|&score| score as f32).collect();
    let softmax = TokenChoice::new(rule.top_k, Score::Softmax);
    let softmax_again = softmax.scores(&again);
    let own = rule.weights(scores, experts);
    let own_again: Vec<f32> = own.iter().map(|&weight| weight as f32).collect();
    let biased = ranked.bias_e.map(|bias_e| -> Vec<f64> {
        let pairs = scores.iter().zip(bias_e);
        pairs
            .map(|(score, bias)| score + f64::from(*bias))
            .collect()
    });
    let other_score = match rule.score {
        Score::Sigmoid => Score::Softmax,
        _ => Score::Sigmoid,
    };
    let with = |score, normalise, scale| TokenChoice {
        score,
        normalise,
        scale,
        ..rule
    };
    let otherwise = match rule.normalise {
        Normalise::None => Normalise::Sum,
        Normalise::Sum | Normalise::Softmax => Normalise::None,
    };
    let other = with(other_score, rule.normalise, rule.scale);
    let mut turned = own.clone();
    turned.sort_by(|a, b| b.total_cmp(a));
    suspected(if biased.is_some_and(|biased| by(rule, &biased)) {
        Some("the bias of the choice enters the weights")
    } else if by(rule, &softmax_again) || is_found(&softmax.scores(&own_again)) {
        Some("the softmax is taken twice")
    } else if by(with(rule.score, otherwise, rule.scale), scores) {
        Some(match rule.normalise {
            Normalise::None => "the weights are divided by their sum",
            Normalise::Sum | Normalise::Softmax => "the weights are not divided by their sum",
        })
    } else if by(with(rule.score, rule.normalise, 1.0), scores) {
        Some("the scale is left out")
    } else if by(
        with(rule.score, rule.normalise, rule.scale * rule.scale),
        scores,
    ) {
        Some("the scale is applied twice")
    } else if by(other, &other.scores(ranked.logits_e)) {
        Some("the scores are by another function")
    } else if is_found(&turned) {
        Some("the weights stand beside other experts")
    } else {
        None
    })
}

fn suspected(mistake: Option<&str>) -> String {
    mistake.map_or(String::new(), |mistake| format!(": as if {mistake}"))
}
