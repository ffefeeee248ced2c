//! Tokens that go elsewhere, and why.

use super::SeenLayer;
use moe_router::parts::{ExpertGroups, GroupScore, top_k};

/// Causes of a flip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// An engine does not take the best of its own scores.
    Selection,
    /// The scores differ by more than rounding.
    Scores,
    /// They differ by no more than rounding.
    Rounding,
    /// A token that this one reads went elsewhere in an earlier layer.
    Earlier,
}

/// What two engines made of a token that ranks its experts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    /// The gap between the last expert that was taken and the next, as a share of the largest score.
    pub gap: f64,
    /// The largest difference of a score, as the same share.
    pub difference: f64,
    /// True if the token reads something that went elsewhere in an earlier layer.
    pub follows: bool,
    /// The cause, if the token goes elsewhere.
    pub flip: Option<Cause>,
}

/// A token of a layer, by its window and its position there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub token: usize,
    window: usize,
    position: usize,
}

/// The tokens that went elsewhere in earlier layers.
#[derive(Debug)]
pub(crate) struct Changed {
    is_causal: bool,
    /// The first position of each window that did.
    first: Vec<Option<usize>>,
}

/// Two engines' scores of a token.
struct Scores<'a> {
    groups: Option<&'a ExpertGroups>,
    own: &'a [f32],
    other: &'a [f32],
}

impl Changed {
    /// Nothing yet; in a causal model a token reads those before it alone.
    pub(crate) fn new(is_causal: bool) -> Self {
        let first = Vec::new();
        Self { is_causal, first }
    }

    pub(crate) fn reaches(&self, at: At) -> bool {
        let first = self.first.get(at.window).copied().flatten();
        first.is_some_and(|first| !self.is_causal || first <= at.position)
    }

    pub(crate) fn add(&mut self, at: At) {
        if self.first.len() <= at.window {
            self.first.resize(at.window + 1, None);
        }
        let first = &mut self.first[at.window];
        *first = Some(first.map_or(at.position, |first| first.min(at.position)));
    }
}

/// The tokens of a layer in order.
pub(crate) fn places(layer: &SeenLayer) -> Vec<At> {
    let mut start = 0;
    let windows = layer.windows.iter().enumerate();
    let place = |(token, &window): (usize, &u32)| {
        if token > 0 && window != layer.windows[token - 1] {
            start = token;
        }
        At {
            token,
            window: window as usize,
            position: token - start,
        }
    };
    windows.map(place).collect()
}

/// Compares a token's scores and choices; nothing if the router does not rank its experts. Where the other engine does not
/// say its scores, they are taken to differ by the least that explains its choice.
pub(super) fn judge(
    own: &SeenLayer,
    other: &SeenLayer,
    at: At,
    changed: &Changed,
    rounding: f64,
) -> Option<Judged> {
    let [taken, taken_there] = [own, other].map(|layer| &layer.asked[at.token][..]);
    let of_other = other.ranked(at.token);
    let scores = Scores {
        groups: own.groups.as_ref(),
        own: own.ranked(at.token)?,
        other: of_other.unwrap_or_default(),
    };
    let gap = scores.gap(taken.len());
    let difference = match of_other {
        Some(_) => scores.difference(),
        None => scores.least_difference(gap, taken, taken_there),
    };
    let follows = changed.reaches(at);
    let cause = || {
        let takes_best = scores.are_best(scores.own, taken, own.any_ties)
            && (of_other.is_none() || scores.are_best(scores.other, taken_there, other.any_ties));
        if !takes_best {
            Cause::Selection
        } else if follows {
            Cause::Earlier
        } else if difference > rounding {
            Cause::Scores
        } else {
            Cause::Rounding
        }
    };
    Some(Judged {
        gap,
        difference,
        follows,
        flip: (taken != taken_there).then(cause),
    })
}

impl Scores<'_> {
    /// The scores that remain of a token within its groups.
    fn allowed(&self, scores: &[f32]) -> Vec<f32> {
        let mut allowed = scores.to_vec();
        if let Some(groups) = self.groups {
            groups.mask(&mut allowed, scores.len());
        }
        allowed
    }

    /// Tells whether the best were taken: of equal scores those of the lowest index, or any.
    fn are_best(&self, scores: &[f32], taken: &[u32], any_ties: bool) -> bool {
        let allowed = self.allowed(scores);
        let mut best = top_k(&allowed, taken.len());
        if any_ties {
            let values = |experts: &[u32]| {
                let mut values: Vec<f32> = experts.iter().map(|&e| allowed[e as usize]).collect();
                values.sort_unstable_by(f32::total_cmp);
                values
            };
            return values(&best) == values(taken);
        }
        best.sort_unstable();
        best == taken
    }

    fn largest(&self) -> f64 {
        let sizes = self.own.iter().map(|score| f64::from(score.abs()));
        sizes.filter(|size| size.is_finite()).fold(0.0, f64::max)
    }

    /// A difference of scores as a share of the largest.
    fn share(&self, difference: f64) -> f64 {
        if difference == 0.0 {
            return 0.0;
        }
        difference / self.largest()
    }

    /// The gap below the `k` best: half of it is the least change of scores that can take another expert.
    fn gap(&self, k: usize) -> f64 {
        let experts = step(&self.allowed(self.own), k);
        let groups = self.groups.map_or(f64::INFINITY, |groups| {
            let length = groups.group_len(self.own.len());
            let of_groups: Vec<f32> = (self.own.chunks(length))
                .map(|group| groups.score.of(group))
                .collect();
            // a sum of two scores moves by twice as much as a score
            let n_summed = match groups.score {
                GroupScore::Max => 1,
                GroupScore::TopTwoSum => length.min(2),
            };
            step(&of_groups, groups.topk_groups) / n_summed as f64
        });
        self.share(experts.min(groups))
    }

    /// The least difference of scores by which an engine takes others: half the distance of the best that it leaves to
    /// the worst that it takes instead.
    fn least_difference(&self, gap: f64, taken: &[u32], taken_there: &[u32]) -> f64 {
        if taken == taken_there {
            return 0.0;
        }
        let score = |expert: &&u32| f64::from(self.own[**expert as usize]);
        let left = taken.iter().filter(|e| !taken_there.contains(e));
        let new = taken_there.iter().filter(|e| !taken.contains(e));
        let best = left.map(|e| score(&e)).fold(f64::NEG_INFINITY, f64::max);
        let worst = new.map(|e| score(&e)).fold(f64::INFINITY, f64::min);
        let distance = if best.is_finite() && worst.is_finite() {
            self.share(best - worst)
        } else {
            0.0
        };
        distance.max(if gap.is_finite() { gap } else { 0.0 }) / 2.0
    }

    fn difference(&self) -> f64 {
        let pairs = self.own.iter().zip(self.other);
        let differences = pairs.map(|(own, other)| f64::from((own - other).abs()));
        // a score that is no number in one engine alone is as far away as can be
        let largest = differences.fold(0.0, |max: f64, d| {
            if d.is_nan() {
                f64::INFINITY
            } else {
                max.max(d)
            }
        });
        self.share(largest)
    }
}

/// The step from the `k`-th largest value to the next; infinite without a next.
fn step(values: &[f32], k: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    match (
        k.checked_sub(1).and_then(|last| sorted.get(last)),
        sorted.get(k),
    ) {
        (Some(last), Some(next)) => f64::from(*last) - f64::from(*next),
        _ => f64::INFINITY,
    }
}
