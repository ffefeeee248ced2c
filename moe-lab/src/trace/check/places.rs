//! Laws of a layer's limited places, a group of tokens at a time.

use super::At;
use super::law::{Findings, Law};
use super::scores::Ranked;
use moe_checkpoint::trace::TraceReader;
use moe_router::TokenChoice;
use moe_router::parts::{FillOrder, Priority};

/// The places of a layer's experts in the group that is read.
pub(super) struct Places {
    layer: usize,
    rule: Option<(TokenChoice, usize)>,
    /// `true` if the trace says who comes first.
    is_ordered: bool,
    /// The difference up to which two scores may have been equal to the engine.
    slack: f64,
    group: Option<u32>,
    experts: Vec<Place>,
}

/// The places of an expert.
#[derive(Debug, Clone, Default)]
struct Place {
    n_kept: usize,
    /// The assignment that came last of those that were kept.
    last_kept: Option<Claim>,
    /// The one that came first of those that were dropped.
    first_dropped: Option<Claim>,
}

/// An assignment, by its turn.
#[derive(Debug, Clone, Copy)]
struct Claim {
    /// Smaller is earlier.
    turn: [f64; 3],
    token: u64,
}

impl Claim {
    /// Returns `true` if its turn comes before, by more than a slack.
    fn is_before(&self, other: &Self, slack: f64) -> bool {
        let mut pairs = self.turn.iter().zip(&other.turn);
        let first = pairs.find(|(a, b)| a != b);
        first.is_some_and(|(a, b)| a + slack < *b)
    }
}

impl Places {
    pub(super) fn new(reader: &TraceReader, layer: usize, slack: f64) -> Self {
        let rule = reader.meta().rule;
        let rule = rule.and_then(|rule| Some((rule, rule.capacity?)));
        let n_experts = if rule.is_some() {
            reader.meta().n_experts
        } else {
            0
        };
        let is_ordered = rule.is_some_and(|(rule, _)| match rule.priority {
            Priority::Position => true,
            Priority::Score => reader.layers()[layer].has_logits,
            Priority::Random => false,
        });
        Self {
            layer,
            rule,
            is_ordered,
            slack,
            group: None,
            experts: vec![Place::default(); n_experts],
        }
    }

    /// Adds a token; where a group begins, the one before is judged.
    pub(super) fn add(
        &mut self,
        at: &At<'_>,
        ranked: Option<&Ranked<'_>>,
        findings: &mut Findings,
    ) {
        let Some((rule, _)) = self.rule else {
            return;
        };
        let group = at.chunk.group_of(at.t);
        if self.group != Some(group) {
            self.finish_group(findings);
            self.group = Some(group);
        }
        let layer = &at.chunk.layers[at.layer];
        let best = ranked.map_or(0.0, |ranked| {
            ranked
                .scores_e
                .iter()
                .copied()
                .fold(f64::NEG_INFINITY, f64::max)
        });
        for (k, &expert) in layer.row(at.t).iter().enumerate() {
            let place = usize::try_from(expert)
                .ok()
                .and_then(|e| self.experts.get_mut(e));
            let Some(place) = place else {
                continue;
            };
            let token = at.token();
            let turn = turn(&rule, best, token as f64, k as f64);
            place.add(Claim { turn, token }, layer.is_kept(at.t, k));
        }
    }

    /// Judges the group that was read.
    pub(super) fn finish_group(&mut self, findings: &mut Findings) {
        let (Some((_, capacity)), Some(group)) = (self.rule, self.group) else {
            return;
        };
        let (is_ordered, slack) = (self.is_ordered, self.slack);
        let words = format!("layer {}, group {group}", self.layer);
        for (e, place) in self.experts.iter_mut().enumerate() {
            let place = std::mem::take(place);
            findings.judge(Law::Capacity, place.n_kept <= capacity, || {
                format!(
                    "{words}: expert {e} takes {} tokens, of {capacity} at most",
                    place.n_kept
                )
            });
            let Some(dropped) = place.first_dropped else {
                continue;
            };
            findings.judge(Law::Drops, place.n_kept >= capacity, || {
                let (token, n_kept) = (dropped.token, place.n_kept);
                format!(
                    "{words}: expert {e} drops token {token}, and takes only {n_kept} of {capacity}"
                )
            });
            let Some(kept) = place.last_kept.filter(|_| is_ordered) else {
                continue;
            };
            findings.judge(Law::DropOrder, !dropped.is_before(&kept, slack), || {
                format!(
                    "{words}: expert {e} drops token {} and takes token {}, which comes later by the priority",
                    dropped.token, kept.token
                )
            });
        }
        self.group = None;
    }
}

impl Place {
    fn add(&mut self, claim: Claim, is_kept: bool) {
        if is_kept {
            self.n_kept += 1;
            if self
                .last_kept
                .is_none_or(|last| last.is_before(&claim, 0.0))
            {
                self.last_kept = Some(claim);
            }
        } else if self
            .first_dropped
            .is_none_or(|first| claim.is_before(&first, 0.0))
        {
            self.first_dropped = Some(claim);
        }
    }
}

/// The turn of choice `k` of a token at `position` of the trace whose best score is `best`.
fn turn(rule: &TokenChoice, best: f64, position: f64, k: f64) -> [f64; 3] {
    let first = match rule.priority {
        Priority::Score => -best,
        Priority::Position | Priority::Random => 0.0,
    };
    match rule.order {
        FillOrder::TokenByToken => [first, position, k],
        FillOrder::ChoiceByChoice => [k, first, position],
    }
}
