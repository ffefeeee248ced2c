//! Well-known mistakes that a wrong choice or a wrong weight is compared with, so that it can be named.

use super::scores::Ranked;
use moe_router::TokenChoice;
use moe_router::parts::{ExpertGroups, GroupScore, Normalise, Score};

/// The mistake that gives a token's choice, in words; none known is no words.
pub(super) fn suspect_of_choice(ranked: &Ranked<'_>, experts: &[u32]) -> String {
    let mistakes = mistakes_of_choice(ranked).into_iter();
    let found = mistakes.filter(|(_, allowed_e)| are_best(allowed_e, experts));
    suspected(found.map(|(words, _)| words).next())
}

/// Tells whether no expert scores more than one of these. Equal scores may be taken in any order: `torch.topk` promises none,
/// and groups that are masked with zero have many.
fn are_best(scores_e: &[f32], experts: &[u32]) -> bool {
    let is_taken = |e: usize| experts.contains(&(e as u32));
    let lowest = experts.iter().filter_map(|&e| scores_e.get(e as usize));
    let lowest = lowest.fold(f32::INFINITY, |lowest, score| lowest.min(*score));
    let mut others = scores_e.iter().enumerate().filter(|(e, _)| !is_taken(*e));
    others.all(|(_, score)| *score <= lowest)
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
    let (rule, logits_e, scores_e) = (ranked.rule, ranked.logits_e, &ranked.scores_e);
    let softmax = |scores: &[f32]| TokenChoice::new(rule.top_k, Score::Softmax).scores(scores);
    let narrow =
        |scores: &[f64]| -> Vec<f32> { scores.iter().map(|&score| score as f32).collect() };
    let own = rule.weights(logits_e, scores_e, experts);
    let mut mistakes = Vec::new();
    if let Some(bias_e) = ranked.bias_e {
        let pairs = scores_e.iter().zip(bias_e);
        let biased_e: Vec<f64> = pairs
            .map(|(score, bias)| score + f64::from(*bias))
            .collect();
        let weights = rule.weights(logits_e, &biased_e, experts);
        mistakes.push(("the bias of the choice enters the weights", weights));
    }
    let (once_e, twice) = (narrow(scores_e), "the softmax is taken twice");
    mistakes.push((twice, rule.weights(&once_e, &softmax(&once_e), experts)));
    mistakes.push((twice, softmax(&narrow(&own))));
    let with = |rule: TokenChoice| rule.weights(logits_e, &rule.scores(logits_e), experts);
    let others = other_rules(rule).into_iter();
    mistakes.extend(others.map(|(words, rule)| (words, with(rule))));
    let mut sorted = own;
    sorted.sort_by(|a, b| b.total_cmp(a));
    mistakes.push(("the weights stand beside other experts", sorted));
    mistakes
}

/// Rules that differ from the stated one by a mistake.
fn other_rules(rule: TokenChoice) -> [(&'static str, TokenChoice); 4] {
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
    let scale = rule.scale * rule.scale;
    [
        (division, TokenChoice { normalise, ..rule }),
        ("the scale is left out", TokenChoice { scale: 1.0, ..rule }),
        ("the scale is applied twice", TokenChoice { scale, ..rule }),
        (
            "the scores are by another function",
            TokenChoice { score, ..rule },
        ),
    ]
}

fn suspected(mistake: Option<&str>) -> String {
    mistake.map_or(String::new(), |mistake| format!(": as if {mistake}"))
}
