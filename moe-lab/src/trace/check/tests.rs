//! Planted faults are named, and routers without one pass.

use super::*;
use crate::trace::testing::{Written, record};
use burn::module::Param;
use burn::tensor::{Device, Distribution, Tensor};
use moe_checkpoint::trace::{NO_EXPERT, TraceMeta};
use moe_router::parts::{Priority, Score, top_k};
use moe_router::zoo::{DeepSeekV3RouterConfig, SwitchRouterConfig, VmoeRouterConfig};
use moe_router::{Preset, Router, RouterConfig, RouterInput, RouterShape, TokenChoice};
use std::sync::Arc;

const SHAPE: RouterShape = RouterShape {
    d_model: 8,
    n_experts: 8,
    layer: 0,
};

fn meta(rule: Option<TokenChoice>) -> TraceMeta {
    TraceMeta {
        n_experts: 8,
        rule,
        ..TraceMeta::default()
    }
}

/// Four sequences of sixteen tokens.
fn input() -> RouterInput {
    let x = Tensor::random([64, 8], Distribution::Normal(0.0, 2.0), &Device::flex());
    RouterInput::new(x).groups(4)
}

/// DeepSeek-V3's router with biases that are mostly negative.
fn biased() -> Written {
    let config = DeepSeekV3RouterConfig {
        top_k: 3,
        n_groups: 4,
        topk_groups: 2,
        routed_scaling_factor: 2.5,
        ..Default::default()
    };
    let device = Device::flex();
    let mut router = config.init(&SHAPE, &device);
    let bias = [-1.2, -0.9, -1.1, -1.3, -0.8, -1.0, -1.4, -0.7];
    router.bias = Param::from_tensor(Tensor::from_floats(bias, &device)).set_require_grad(false);
    record(&[router.route(input())], meta(config.token_choice(8, 16)))
}

/// A router of the list with padding at the end of each sequence.
fn padded(name: &str) -> Written {
    let config = RouterConfig::from_name(name).unwrap();
    let padding: Arc<[bool]> = (0..64).map(|t| t % 16 >= 13).collect();
    let routing = config
        .init(&SHAPE, &Device::flex())
        .route(input().padding(padding));
    record(&[routing], meta(config.token_choice(8, 16)))
}

fn found(written: &Written) -> TraceCheck {
    check(&written.reader, &CheckOptions::default()).unwrap()
}

/// The laws that fail, with the first counterexample of each.
fn failures(written: &Written) -> Vec<(Law, String)> {
    let laws = found(written).laws.into_iter();
    let failed = laws.filter(|found| found.n_violations > 0);
    failed
        .map(|found| (found.law, found.first.unwrap()))
        .collect()
}

/// The only law that fails, whose counterexample has the given words.
fn assert_fails(written: &Written, law: Law, words: &str) {
    let failures = failures(written);
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(
        failures[0].0 == law && failures[0].1.contains(words),
        "{failures:?}"
    );
}

/// Sets the weights of every token to what another rule says.
fn weigh(chunk: &mut TraceChunk, of: impl Fn(&[f32], &[u32]) -> Vec<f64>) {
    let layer = &mut chunk.layers[0];
    let mut weights = layer.weights.take().unwrap();
    for t in 0..chunk.n_tokens {
        let row: Vec<u32> = layer
            .row(t)
            .iter()
            .filter(|e| **e >= 0)
            .map(|e| *e as u32)
            .collect();
        let other = of(layer.logits_of(t).unwrap(), &row);
        for (k, weight) in other.into_iter().enumerate() {
            weights[t * layer.width + k] = weight as f32;
        }
    }
    layer.weights = Some(weights);
}

/// Sets the experts of every token to the best by other scores, and weighs them by the rule.
fn choose(chunk: &mut TraceChunk, rule: TokenChoice, of: impl Fn(&[f64]) -> Vec<f32>) {
    let layer = &mut chunk.layers[0];
    for t in 0..chunk.n_tokens {
        let scores = rule.scores(layer.logits_of(t).unwrap());
        let best = top_k(&of(&scores), rule.top_k);
        let row = best.iter().map(|&e| e as i32);
        layer
            .experts
            .splice(t * layer.width..(t + 1) * layer.width, row);
    }
    weigh(chunk, |logits, experts| {
        rule.weights(logits, &rule.scores(logits), experts)
    });
}

#[test]
fn routers_without_a_fault_pass() {
    for name in [
        "mixtral",
        "deepseek_moe",
        "deepseek_v2",
        "deepseek_v3",
        "loss_free",
        "switch",
    ] {
        let found = found(&padded(name));
        assert!(found.holds(), "{name}: {found:?}");
        let of = |law: Law| &found.laws[law as usize];
        // 13 of 16 tokens of four sequences
        assert_eq!(
            (of(Law::Weights).n_checked, of(Law::Padding).n_checked),
            (52, 64)
        );
        assert_eq!(of(Law::Capacity).lacks.is_none(), name == "switch");
    }
    let found = found(&biased());
    assert!(found.holds(), "{found:?}");
    assert_eq!(found.laws[Law::ExpertGroups as usize].n_checked, 64);
}

#[test]
fn a_trace_without_a_rule_is_held_to_less() {
    let router = RouterConfig::from_name("top_p").unwrap();
    let routing = router.init(&SHAPE, &Device::flex()).route(input());
    let found = found(&record(&[routing], meta(None)));
    assert!(found.holds());
    assert_eq!(found.laws[Law::Distinct as usize].n_checked, 64);
    assert_eq!(
        found.laws[Law::Selection as usize].lacks,
        Some("no logits, or no rule")
    );
}

#[test]
fn a_bias_that_enters_the_weights_is_named() {
    // weights may stay positive: the bias is above -1 here
    let written = biased();
    let rule = written.reader.meta().rule.unwrap();
    let bias = written.reader.layers()[0].bias.clone().unwrap();
    let planted = written.planted(|chunk| {
        weigh(chunk, |logits, experts| {
            let scores = rule.scores(logits).into_iter().zip(&bias);
            let biased: Vec<f64> = scores.map(|(s, b)| s + f64::from(*b)).collect();
            rule.weights(logits, &biased, experts)
        });
    });
    let failures = failures(&planted);
    let (law, words) = failures
        .iter()
        .find(|(law, _)| *law == Law::Weights)
        .unwrap();
    assert!(
        words.contains("as if the bias of the choice enters the weights"),
        "{law:?} {words}"
    );
}

#[test]
fn groups_that_are_masked_with_zero_are_named() {
    let written = biased();
    let rule = written.reader.meta().rule.unwrap();
    let bias = written.reader.layers()[0].bias.clone().unwrap();
    // of equal scores, here the zeros, the lowest or the highest index wins
    for by_index in [0.0, 1e-6] {
        let planted = written.planted(|chunk| {
            choose(chunk, rule, |scores| {
                let pairs = scores.iter().zip(&bias);
                let mut masked: Vec<f32> = pairs.map(|(s, b)| *s as f32 + b).collect();
                rule.groups.unwrap().mask(&mut masked, 8);
                let zero = |(e, r): (usize, &f32)| {
                    if r.is_finite() {
                        *r
                    } else {
                        by_index * e as f32
                    }
                };
                masked.iter().enumerate().map(zero).collect()
            });
        });
        assert_fails(
            &planted,
            Law::ExpertGroups,
            "as if groups are masked with zero",
        );
    }
}

#[test]
fn ties_that_are_broken_otherwise_are_named() {
    let written = padded("mixtral").planted(|chunk| {
        chunk.mask = None;
        let layer = &mut chunk.layers[0];
        // experts 1 and 4 are equally good in every token, and best
        let mut logits = layer.logits.take().unwrap();
        logits
            .chunks_mut(8)
            .for_each(|row| (row[1], row[4], row[6]) = (9.0, 9.0, 9.0));
        layer.logits = Some(logits);
        layer.experts = [1, 4].repeat(64);
        layer.kept = None;
        layer.weights = Some(vec![0.5; 128]);
    });
    assert!(found(&written).holds());
    let planted = written.planted(|chunk| {
        let experts = &mut chunk.layers[0].experts;
        experts[2 * 7..2 * 8].copy_from_slice(&[4, 6]);
    });
    assert_fails(
        &planted,
        Law::Ties,
        "token 7 takes expert 4 and not 1, whose score is the same",
    );
}

#[test]
fn a_softmax_that_is_taken_twice_is_named() {
    let written = padded("mixtral");
    let rule = written.reader.meta().rule.unwrap();
    let planted = written.planted(|chunk| {
        weigh(chunk, |logits, experts| {
            let once: Vec<f32> = rule.scores(logits).into_iter().map(|s| s as f32).collect();
            rule.weights(
                &once,
                &TokenChoice::new(2, Score::Softmax).scores(&once),
                experts,
            )
        });
    });
    assert_fails(&planted, Law::Weights, "as if the softmax is taken twice");
}

#[test]
fn padding_that_is_routed_is_named() {
    let planted = padded("mixtral").planted(|chunk| {
        let layer = &mut chunk.layers[0];
        layer.experts[2 * 15] = 3;
    });
    assert_fails(
        &planted,
        Law::Padding,
        "token 15, which is padding, goes to expert 3",
    );
}

#[test]
fn weights_of_another_scale_or_sum_are_named() {
    let written = biased();
    let rule = written.reader.meta().rule.unwrap();
    let with = |rule: TokenChoice| {
        written.planted(|chunk| {
            weigh(chunk, |logits, experts| {
                rule.weights(logits, &rule.scores(logits), experts)
            });
        })
    };
    let unscaled = failures(&with(TokenChoice { scale: 1.0, ..rule }));
    assert!(
        unscaled[1].1.contains("as if the scale is left out"),
        "{unscaled:?}"
    );
    assert!(
        unscaled[0].1.contains("sum to 1.000000, not to 2.5"),
        "{unscaled:?}"
    );
    let normalise = moe_router::parts::Normalise::None;
    let undivided = failures(&with(TokenChoice { normalise, ..rule }));
    assert!(
        undivided[1].1.contains("not divided by their sum"),
        "{undivided:?}"
    );
}

#[test]
fn experts_that_are_not_there_or_twice_are_named() {
    let written = padded("mixtral");
    let with = |at: usize, expert: i32| {
        let planted = written.planted(|chunk| chunk.layers[0].experts[at] = expert);
        failures(&planted)
    };
    assert!(with(4, 8)[0].1.contains("token 2 goes to expert 8 of 8"));
    let other = written.chunk().layers[0].experts[5];
    assert_eq!(
        with(4, other)[0],
        (
            Law::Distinct,
            format!("layer 0, token 2 goes to expert {other} twice")
        )
    );
    assert!(
        with(5, NO_EXPERT)[0]
            .1
            .contains("token 2 has 1 experts, of top-k 2")
    );
}

/// Sixteen tokens of two sequences that all want expert 0 of two, with three places.
fn full() -> Written {
    let config = SwitchRouterConfig {
        expert_capacity: Some(3),
        ..Default::default()
    };
    let device = Device::flex();
    let shape = RouterShape {
        d_model: 8,
        n_experts: 8,
        layer: 0,
    };
    let mut router = config.init(&shape, &device);
    router.gate.weight = Param::from_tensor(Tensor::eye(8, &device));
    let rows: Vec<f32> = (0..16)
        .flat_map(|_| [3.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        .collect();
    let x = Tensor::<1>::from_floats(&rows[..], &device).reshape([16, 8]);
    let routing = router.route(RouterInput::new(x).groups(2));
    record(&[routing], meta(config.token_choice(8, 8)))
}

#[test]
fn places_are_counted_by_group() {
    let written = full();
    let passed = found(&written);
    assert!(passed.holds(), "{passed:?}");
    // expert 0 drops tokens in both groups; every expert is checked in both
    let n_checked = |law: Law| passed.laws[law as usize].n_checked;
    assert_eq!(
        (
            n_checked(Law::Capacity),
            n_checked(Law::Drops),
            n_checked(Law::DropOrder)
        ),
        (16, 2, 2)
    );

    let with = |changes: &[(usize, bool)]| {
        written.planted(|chunk| {
            let kept = chunk.layers[0].kept.as_mut().unwrap();
            changes.iter().for_each(|&(t, is_kept)| kept[t] = is_kept);
        })
    };
    assert_fails(
        &with(&[(3, true)]),
        Law::Capacity,
        "group 0: expert 0 takes 4 tokens, of 3 at most",
    );
    assert_fails(
        &with(&[(10, false)]),
        Law::Drops,
        "group 1: expert 0 drops token 10, and takes only 2 of 3",
    );
    let swapped = with(&[(1, false), (5, true)]);
    assert_fails(
        &swapped,
        Law::DropOrder,
        "group 0: expert 0 drops token 1 and takes token 5",
    );
}

#[test]
fn places_by_score_are_judged_where_there_are_scores() {
    // eight tokens a sequence, the later the surer, of whom expert 0 takes ceil(3 * 8 * 1 / 8) = 3
    let config = VmoeRouterConfig {
        top_k: 1,
        capacity_factor: 3.0,
        capacity_multiple_of: 1,
        priority: Priority::Score,
        ..Default::default()
    };
    let device = Device::flex();
    let shape = RouterShape {
        d_model: 8,
        n_experts: 8,
        layer: 0,
    };
    let mut router = config.init(&shape, &device);
    router.gate.weight = Param::from_tensor(Tensor::eye(8, &device));
    let row = |t: usize| {
        let mut row = [0.0; 8];
        row[0] = 1.0 + (t % 8) as f32;
        row
    };
    let rows: Vec<f32> = (0..16).flat_map(row).collect();
    let x = Tensor::<1>::from_floats(&rows[..], &device).reshape([16, 8]);
    let routing = router.route(RouterInput::new(x).groups(2));
    let written = record(&[routing], meta(config.token_choice(8, 8)));
    let n_checked = |found: &TraceCheck| found.laws[Law::DropOrder as usize].n_checked;
    let passed = found(&written);
    assert!(passed.holds(), "{passed:?}");
    assert_eq!(n_checked(&passed), 2);
    let without = found(&written.planted(|chunk| chunk.layers[0].logits = None));
    assert!(without.holds(), "{without:?}");
    assert_eq!(n_checked(&without), 0);
}

#[test]
fn groups_that_come_again_are_named() {
    let planted = full().planted(|chunk| chunk.group.as_mut().unwrap()[15] = 0);
    let failures = failures(&planted);
    assert_eq!(
        failures[0],
        (
            Law::Groups,
            "token 15 is of group 0, behind one of group 1".to_owned()
        )
    );
}
