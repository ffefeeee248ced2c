//! The list of the laws of executors.

use super::checks;
use super::{ExecutorCase, ExecutorSubject};
use moe_router::laws::Held;

/// A law of executors.
#[derive(Debug, Clone, Copy)]
pub struct ExecutorLaw {
    /// Its name, as reports print it.
    pub name: &'static str,
    /// Statement of the law, in one sentence.
    pub sentence: &'static str,
    pub(super) check: fn(&ExecutorSubject<'_>, &ExecutorCase) -> Held,
}

/// The laws of executors.
pub const EXECUTOR_LAWS: &[ExecutorLaw] = &[
    ExecutorLaw {
        name: "reference",
        sentence: "output and gradients (of tokens, weights and every stack) are those of the slow loop over \
                   experts, worked out in f64 where the device computes in it",
        check: checks::reference,
    },
    ExecutorLaw {
        name: "one-expert",
        sentence: "one expert with weight 1 is the plain feed-forward",
        check: checks::one_expert,
    },
    ExecutorLaw {
        name: "dense-mixture",
        sentence: "all experts for every token, weighed by a softmax, are the dense mixture",
        check: checks::dense_mixture,
    },
    ExecutorLaw {
        name: "identical-experts",
        sentence: "identical experts give the feed-forward times the sum of a token's weights",
        check: checks::identical_experts,
    },
    ExecutorLaw {
        name: "idle",
        sentence: "an expert without tokens, a token without experts and a dropped assignment have gradients \
                   of exactly zero, and such a token an output of zero",
        check: checks::idle,
    },
    ExecutorLaw {
        name: "no-tokens",
        sentence: "no tokens give an empty output and gradients of zero",
        check: checks::no_tokens,
    },
    ExecutorLaw {
        name: "dropped",
        sentence: "a dropped assignment is as if it had never been asked for, whatever its weight",
        check: checks::dropped,
    },
    ExecutorLaw {
        name: "assignment-order",
        sentence: "another order of the list of assignments changes nothing",
        check: checks::assignment_order,
    },
    ExecutorLaw {
        name: "expert-relabelling",
        sentence: "experts that change places with their stacks change nothing",
        check: checks::relabelling,
    },
];
