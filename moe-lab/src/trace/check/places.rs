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
    group: Option<u32>,
    /// The first token of the group.
    start: u64,
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
    fn is_before(&self, other: &Self) -> bool {
        let pairs = self.turn.iter().zip(&other.turn);
        let order = pairs.map(|(a, b)| a.total_cmp(b));
        order
            .fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
            .is_lt()
    }
}

impl Places {
    pub(super) fn new(reader: &TraceReader, layer: usize) -> Self {
        let rule = reader.meta().rule;
        let rule = rule.and_then(|rule| Some((rule, rule.capacity?)));
        let n_experts = if rule.is_some() {
            reader.meta().n_experts
        } else {
            0
        };
        Self {
            layer,
            rule,
            group: None,
            start: 0,
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
            (self.group, self.start) = (Some(group), at.token());
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
            let turn = turn(&rule, best, (token - self.start) as f64, k as f64);
            place.add(Claim { turn, token }, layer.is_kept(at.t, k));
        }
    }

    /// Judges the group that was read.
    pub(super) fn finish_group(&mut self, findings: &mut Findings) {
        let (Some((rule, capacity)), Some(group)) = (self.rule, self.group) else {
            return;
        };
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
            let Some(kept) = place
                .last_kept
                .filter(|_| rule.priority != Priority::Random)
            else {
                continue;
            };
            findings.judge(Law::DropOrder, !dropped.is_before(&kept), || {
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
            if self.last_kept.is_none_or(|last| last.is_before(&claim)) {
                self.last_kept = Some(claim);
            }
        } else if self
            .first_dropped
            .is_none_or(|first| claim.is_before(&first))
        {
            self.first_dropped = Some(claim);
        }
    }
}

/// The turn of choice `k` of a token at `position` whose best score is `best`.
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
