//! Flips of planted faults are told apart from rounding.

use super::*;
use crate::trace::testing::{Written, write};
use moe_checkpoint::trace::{LayerChunk, TraceChunk, TraceMeta};
use moe_router::TokenChoice;
use moe_router::parts::{Normalise, Score};

fn rule() -> TokenChoice {
    TokenChoice {
        normalise: Normalise::Sum,
        ..TokenChoice::new(1, Score::Softmax)
    }
}

fn meta() -> TraceMeta {
    TraceMeta {
        n_experts: 3,
        rule: Some(rule()),
        ..TraceMeta::default()
    }
}

/// A layer whose tokens have these logits and take these experts.
fn layer(logits: &[[f32; 3]], experts: &[i32]) -> LayerChunk {
    LayerChunk {
        width: 1,
        n_experts: 3,
        experts: experts.to_vec(),
        weights: Some(vec![1.0; experts.len()]),
        kept: None,
        logits: Some(logits.as_flattened().to_vec()),
    }
}

fn trace(layers: Vec<LayerChunk>) -> Written {
    let n_tokens = layers[0].experts.len();
    let chunk = TraceChunk {
        n_tokens,
        tokens: Some((0..n_tokens as u32).collect()),
        layers,
        ..TraceChunk::default()
    };
    write(&[chunk], meta(), Vec::new())
}

fn options() -> AgreeOptions {
    AgreeOptions {
        any_ties: false,
        most: 1000,
        rounding: 1e-4,
        tolerance: 5e-5,
        is_causal: true,
    }
}

#[test]
fn ties_that_fall_otherwise_are_faults_unless_any_may_be_taken() {
    let logits = [[2.0, 2.0, 0.0]];
    let [own, other] = [0, 1].map(|expert| trace(vec![layer(&logits, &[expert])]));
    assert_eq!(compared(&own, &other).comparison.layers[0].selection, 1);
    let any = AgreeOptions {
        any_ties: true,
        ..options()
    };
    let found = agree(&own.reader, &other.reader, &any).unwrap();
    assert!(found.is_explained());
    // the third is no best one
    let wrong = trace(vec![layer(&logits, &[2])]);
    let found = agree(&own.reader, &wrong.reader, &any).unwrap();
    assert_eq!(found.comparison.layers[0].selection, 1);
}

#[test]
fn weights_are_compared_where_nothing_that_is_read_went_elsewhere() {
    // token 1 flips in the first layer, so tokens 1 and 2 read other numbers in the second
    let first = |expert| {
        layer(
            &[[2.0, 0.0, 0.0], [1.0, 1.0 + 1e-6, 0.0], [2.0, 0.0, 0.0]],
            &[0, expert, 0],
        )
    };
    let second = |weights: [f32; 3]| LayerChunk {
        weights: Some(weights.to_vec()),
        ..layer(&[[2.0, 0.0, 0.0]; 3], &[0; 3])
    };
    let own = trace(vec![first(1), second([1.0; 3])]);
    let there = trace(vec![
        layer(
            &[[2.0, 0.0, 0.0], [1.0 + 1e-6, 1.0, 0.0], [2.0, 0.0, 0.0]],
            &[0, 0, 0],
        ),
        second([1.0, 0.5, 0.5]),
    ]);
    let found = compared(&own, &there);
    assert_eq!(found.weights, Some(0.0));
    assert!(found.is_explained());
    let there = trace(vec![first(1), second([1.0, 0.5, 1.0])]);
    assert_eq!(compared(&own, &there).weights, Some(0.5));
}

fn compared(own: &Written, other: &Written) -> TraceAgreement {
    agree(&own.reader, &other.reader, &options()).unwrap()
}

const CLEAR: [f32; 3] = [1.0, 0.0, 0.0];
const NEAR: [f32; 3] = [1.0, 1.0 - 2e-6, 0.0];
const MOVED: [f32; 3] = [1.0 - 2e-6, 1.0, 0.0];

#[test]
fn rounding_is_told_from_a_fault() {
    let own = trace(vec![layer(&[CLEAR, NEAR, CLEAR], &[0, 0, 0])]);
    let rounded = compared(
        &own,
        &trace(vec![layer(&[CLEAR, MOVED, CLEAR], &[0, 1, 0])]),
    );
    assert!(rounded.is_explained());
    assert_eq!(
        (
            rounded.n_routers,
            rounded.n_routers_flipped,
            rounded.n_tokens_flipped
        ),
        (3, 1, 1)
    );
    assert_eq!(rounded.comparison.layers[0].rounding, 1);
    // the same scores, and another expert
    let faulty = compared(&own, &trace(vec![layer(&[CLEAR, NEAR, CLEAR], &[0, 0, 2])]));
    assert!(!faulty.is_explained());
    assert_eq!(faulty.comparison.layers[0].selection, 1);
}

#[test]
fn a_trace_without_logits_is_judged_by_the_gaps_of_the_other() {
    let own = trace(vec![layer(&[CLEAR, NEAR, CLEAR], &[0, 0, 0])]);
    let without = |experts: [i32; 3]| {
        let layer = LayerChunk {
            n_experts: 0,
            logits: None,
            weights: None,
            ..layer(&[CLEAR; 3], &experts)
        };
        compared(&own, &trace(vec![layer]))
    };
    let rounded = without([0, 1, 0]);
    assert!(rounded.is_explained());
    assert_eq!(
        (rounded.comparison.layers[0].rounding, rounded.weights),
        (1, None)
    );
    let faulty = without([0, 1, 2]);
    let layer = &faulty.comparison.layers[0];
    assert_eq!((layer.rounding, layer.scores, layer.apart), (1, 1, 1));
    // half of the distance of 1 between experts 0 and 2
    assert_eq!(layer.largest_difference, 0.5);
    // a near gap does not excuse an expert that is far away
    assert_eq!(without([0, 2, 0]).comparison.layers[0].scores, 1);
}

#[test]
fn weights_that_differ_are_seen() {
    let own = trace(vec![layer(&[CLEAR; 2], &[0, 0])]);
    let mut other = layer(&[CLEAR; 2], &[0, 0]);
    other.weights = Some(vec![1.0, 0.75]);
    let found = compared(&own, &trace(vec![other]));
    assert_eq!(found.weights, Some(0.25));
    assert!(found.comparison.n_unexplained() == 0 && !found.is_explained());
}

#[test]
fn other_texts_and_models_are_refused() {
    let own = trace(vec![layer(&[CLEAR; 2], &[0, 0])]);
    let error = |other: &Written| {
        let refused = agree(&own.reader, &other.reader, &options());
        refused.unwrap_err().to_string()
    };
    let twice = trace(vec![
        layer(&[CLEAR; 2], &[0, 0]),
        layer(&[CLEAR; 2], &[0, 0]),
    ]);
    assert!(error(&twice).contains("1 layers of 3 experts, the other 2 of 3"));
    let other = own.planted(|chunk| chunk.tokens = Some(vec![0, 7]));
    assert!(error(&other).contains("token 1 is 1 in one and 7 in the other"));
}

#[test]
fn tokens_are_matched_by_their_groups() {
    let own = trace(vec![layer(&[CLEAR; 4], &[0; 4])]);
    let grouped = |groups: [u32; 4]| own.planted(|chunk| chunk.group = Some(groups.to_vec()));
    let error = |own: &Written, other: &Written| {
        let refused = agree(&own.reader, &other.reader, &options());
        refused.unwrap_err().to_string()
    };
    // other numbers for the same groups are the same
    let (two, same, other) = (
        grouped([0, 0, 1, 1]),
        grouped([3, 3, 9, 9]),
        grouped([0, 0, 0, 1]),
    );
    assert!(compared(&two, &same).is_explained());
    assert!(compared(&own, &two).is_explained());
    assert!(error(&two, &other).contains("other groups"));
    let short = trace(vec![layer(&[CLEAR; 3], &[0; 3])]);
    assert!(error(&two, &short).contains("does not say which belong together"));
}

#[test]
fn the_last_token_may_be_missing() {
    let own = trace(vec![layer(&[CLEAR; 3], &[0, 0, 0])]);
    let found = compared(&own, &trace(vec![layer(&[CLEAR; 2], &[0, 0])]));
    assert_eq!((found.n_tokens, found.n_routers), ([3, 2], 2));
    assert!(found.is_explained());
}
