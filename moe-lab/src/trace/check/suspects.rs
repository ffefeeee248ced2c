//! Well-known mistakes that a wrong choice or a wrong weight is compared with, so that it can be named.

use super::scores::Ranked;
use moe_router::TokenChoice;
use moe_router::parts::{ExpertGroups, GroupScore, Normalise, Score, top_k};

/// The mistake that gives a token's choice, in words; none known is no words.
pub(super) fn suspect_of_choice(ranked: &Ranked<'_>, experts: &[u32]) -> String {
    let mut taken = experts.to_vec();
    taken.sort_unstable();
    let mistakes = mistakes_of_choice(ranked).into_iter();
    let found = mistakes.filter(|(_, allowed_e)| {
        let mut best = top_k(allowed_e, taken.len());
        best.sort_unstable();
        best == taken
    });
    suspected(found.map(|(words, _)| words).next())
}

/// Mistakes with the scores by which they choose, `[E]`.
fn mistakes_of_choice(ranked: &Ranked<'_>) -> Vec<(&'static str, Vec<f32>)> {
    let ranking_e = &ranked.ranking_e;
    let unbiased_e: Vec<f32> = ranked.scores_e.iter().map(|&score| score as f32).collect();
    let masked = |groups: &ExpertGroups, scores_e: &[f32]| {
        let mut allowed_e = scores_e.to_vec();
        groups.mask(&mut allowed_e, scores_e.len());
        allowed_e
    };
    let mut mistakes = Vec::new();
    let without_bias = "the bias is left out of the choice";
    if let Some(groups) = &ranked.rule.groups {
        let with_zero = masked(groups, ranking_e).into_iter();
        let with_zero = with_zero.map(|r| if r == f32::NEG_INFINITY { 0.0 } else { r });
        let score = match groups.score {
            GroupScore::Max => GroupScore::TopTwoSum,
            GroupScore::TopTwoSum => GroupScore::Max,
        };
        let by_other = masked(&ExpertGroups { score, ..*groups }, ranking_e);
        mistakes = vec![
            (
                "groups are masked with zero, which is more than a negative score",
                with_zero.collect(),
            ),
            ("groups are ranked by another score of theirs", by_other),
            ("there is no limit to groups", ranking_e.clone()),
            (without_bias, masked(groups, &unbiased_e)),
        ];
    }
    mistakes.push((without_bias, unbiased_e));
    mistakes
}

/// The mistake that gives a token's weights, in words; none known is no words.
pub(super) fn suspect_of_weights(
    ranked: &Ranked<'_>,
    experts: &[u32],
    is_found: impl Fn(&[f64]) -> bool,
) -> String {
    let mistakes = mistakes_of_weights(ranked, experts).into_iter();
    let found = mistakes.filter(|(_, weights)| is_found(weights));
    suspected(found.map(|(words, _)| words).next())
}

/// Mistakes with the weights that they give, `[K]`.
fn mistakes_of_weights(ranked: &Ranked<'_>, experts: &[u32]) -> Vec<(&'static str, Vec<f64>)> {
    let (rule, scores_e) = (ranked.rule, &ranked.scores_e);
    let softmax = |scores: &[f64]| {
        let scores: Vec<f32> = scores.iter().map(|&score| score as f32).collect();
        TokenChoice::new(rule.top_k, Score::Softmax).scores(&scores)
    };
    let own = rule.weights(scores_e, experts);
    let biased_e = ranked.bias_e.map(|bias_e| -> Vec<f64> {
        let pairs = scores_e.iter().zip(bias_e);
        pairs
            .map(|(score, bias)| score + f64::from(*bias))
            .collect()
    });
    let with = |rule: TokenChoice| rule.weights(&rule.scores(ranked.logits_e), experts);
    let (division, normalise) = match rule.normalise {
        Normalise::None => ("the weights are divided by their sum", Normalise::Sum),
        Normalise::Sum | Normalise::Softmax => {
            ("the weights are not divided by their sum", Normalise::None)
        }
    };
    let score = match rule.score {
        Score::Sigmoid => Score::Softmax,
        _ => Score::Sigmoid,
    };
    let squared = rule.scale * rule.scale;
    let mut sorted = own.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let bias = biased_e.map(|biased_e| rule.weights(&biased_e, experts));
    let bias = bias.map(|weights| ("the bias of the choice enters the weights", weights));
    let twice = "the softmax is taken twice";
    bias.into_iter()
        .chain([
            (twice, rule.weights(&softmax(scores_e), experts)),
            (twice, softmax(&own)),
            (division, with(TokenChoice { normalise, ..rule })),
            (
                "the scale is left out",
                with(TokenChoice { scale: 1.0, ..rule }),
            ),
            (
                "the scale is applied twice",
                with(TokenChoice {
                    scale: squared,
                    ..rule
                }),
            ),
            (
                "the scores are by another function",
                with(TokenChoice { score, ..rule }),
            ),
            ("the weights stand beside other experts", sorted),
        ])
        .collect()
}

fn suspected(mistake: Option<&str>) -> String {
    mistake.map_or(String::new(), |mistake| format!(": as if {mistake}"))
}
