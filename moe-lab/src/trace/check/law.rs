//! The laws of traces, and what was found of them.

use moe_checkpoint::trace::TraceReader;
use serde::Serialize;

/// A law of traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Law {
    /// Every expert exists.
    Experts,
    /// No token has an expert twice.
    Distinct,
    /// Every token has as many experts as the rule says.
    Counts,
    /// Padding goes to no expert.
    Padding,
    /// The tokens of a group follow one another.
    Groups,
    /// Logits are numbers, and weights finite and not negative.
    Finite,
    /// The weights of a token sum to the scale, where the rule divides by their sum.
    Sum,
    /// Weights follow from the logits by the rule.
    Weights,
    /// Every token takes its best experts.
    Selection,
    /// Of equal scores the lowest index wins.
    Ties,
    /// Every token stays within its best groups of experts.
    ExpertGroups,
    /// No expert takes more tokens of a group than its capacity.
    Capacity,
    /// An assignment is dropped only by an expert that is full.
    Drops,
    /// Places go to the assignments that come first by the priority.
    DropOrder,
}

impl Law {
    /// All laws, in the order of tables.
    pub const ALL: [Self; 14] = [
        Self::Experts,
        Self::Distinct,
        Self::Counts,
        Self::Padding,
        Self::Groups,
        Self::Finite,
        Self::Sum,
        Self::Weights,
        Self::Selection,
        Self::Ties,
        Self::ExpertGroups,
        Self::Capacity,
        Self::Drops,
        Self::DropOrder,
    ];

    /// The law in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Experts => "every expert exists",
            Self::Distinct => "no token has an expert twice",
            Self::Counts => "every token has top-k experts",
            Self::Padding => "padding goes to no expert",
            Self::Groups => "the tokens of a group follow one another",
            Self::Finite => "logits are numbers, weights finite and not negative",
            Self::Sum => "a token's weights sum to the scale",
            Self::Weights => "weights follow from the logits",
            Self::Selection => "every token takes its best experts",
            Self::Ties => "of equal scores the lowest index wins",
            Self::ExpertGroups => "every token stays within its best groups of experts",
            Self::Capacity => "no expert takes more than its capacity",
            Self::Drops => "only a full expert drops",
            Self::DropOrder => "places go to who comes first by the priority",
        }
    }

    /// What a trace lacks to be held to the law.
    fn lacks(self, reader: &TraceReader) -> Option<&'static str> {
        let rule = reader.meta().rule;
        let layers = reader.layers();
        let weights = layers.iter().any(|layer| layer.has_weights);
        let logits = layers.iter().any(|layer| layer.has_logits);
        let missing = |is_there: bool, what| (!is_there).then_some(what);
        let capacity = rule.is_some_and(|rule| rule.capacity.is_some());
        match self {
            Self::Experts | Self::Distinct => None,
            Self::Counts => missing(rule.is_some(), "no rule"),
            Self::Padding => missing(reader.has("mask"), "no mask"),
            Self::Groups => missing(reader.has("group"), "no groups of tokens"),
            Self::Finite => missing(weights || logits, "neither weights nor logits"),
            Self::Sum => missing(weights && rule.is_some(), "no weights, or no rule"),
            Self::Weights => missing(
                weights && logits && rule.is_some(),
                "no weights, no logits or no rule",
            ),
            Self::Selection | Self::Ties => {
                missing(logits && rule.is_some(), "no logits, or no rule")
            }
            Self::ExpertGroups => missing(
                rule.is_some_and(|rule| rule.groups.is_some()),
                "no groups of experts",
            ),
            Self::Capacity | Self::Drops | Self::DropOrder => missing(capacity, "no capacity"),
        }
    }
}

/// What was found of a law.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LawFound {
    /// The law.
    pub law: Law,
    /// The places where it was checked: tokens of layers, or experts of groups.
    pub n_checked: u64,
    /// Those where it does not hold.
    pub n_violations: u64,
    /// The first of them in words.
    pub first: Option<String>,
    /// What the trace lacks, where it was not checked.
    pub lacks: Option<&'static str>,
}

/// Findings while a trace is read.
pub(super) struct Findings(Vec<LawFound>);

impl Findings {
    pub(super) fn new(reader: &TraceReader) -> Self {
        let found = |law: Law| LawFound {
            law,
            n_checked: 0,
            n_violations: 0,
            first: None,
            lacks: law.lacks(reader),
        };
        Self(Law::ALL.map(found).to_vec())
    }

    /// Counts a place where a law was checked, with words for a counterexample.
    pub(super) fn judge(&mut self, law: Law, holds: bool, words: impl FnOnce() -> String) {
        let found = &mut self.0[law as usize];
        found.n_checked += 1;
        if !holds {
            found.n_violations += 1;
            found.first.get_or_insert_with(words);
        }
    }

    pub(super) fn finish(mut self) -> Vec<LawFound> {
        for found in &mut self.0 {
            if found.n_checked == 0 && found.lacks.is_none() {
                found.lacks = Some("nothing to check");
            }
        }
        self.0
    }
}
