//! Tests of composed routers.

use super::*;
use crate::Plan;
use crate::zoo::testing::{experts, identity_gate, rows, shape, weights};
use burn::tensor::{Device, TensorData, Tolerance};

fn router(config: ComposedRouterConfig, n: usize, device: &Device) -> ComposedRouter {
    config.validate(n).expect("a valid configuration");
    let mut router = config.init(&shape(n), device);
    router.gate = identity_gate(n, device);
    router
}

fn route(config: ComposedRouterConfig, n: usize, values: &[f32]) -> Routing {
    let device = Device::flex();
    router(config, n, &device).route(RouterInput::new(rows(values, n, &device)))
}

fn tokens(routing: &Routing) -> Vec<u32> {
    let Plan::Sparse(plan) = &routing.plan else {
        panic!("a sparse plan");
    };
    plan.assignments.tokens().to_vec()
}

fn kept(routing: &Routing) -> Vec<bool> {
    let Plan::Sparse(plan) = &routing.plan else {
        panic!("a sparse plan");
    };
    plan.assignments.kept().to_vec()
}

fn error(config: ComposedRouterConfig) -> String {
    config.validate(8).unwrap_err().to_string()
}

fn read(toml_like: serde_json::Value) -> ComposedRouterConfig {
    serde_json::from_value(toml_like).expect("a configuration")
}

fn assert_weights(routing: &Routing, expected: &[f32]) {
    weights(routing)
        .assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::absolute(1e-5));
}

#[test]
fn positive_scores_weigh_as_they_are_and_a_token_may_have_none() {
    let config = ComposedRouterConfig {
        score: Score::Relu,
        select: Select::Positive,
        normalise: Normalise::None,
        routed_scaling_factor: 2.0,
        ..Default::default()
    };
    let routing = route(config, 3, &[0.5, -1.0, 1.5, -1.0, -2.0, 0.0]);
    assert_eq!(tokens(&routing), [0, 0]);
    assert_eq!(experts(&routing), [2, 0]);
    assert_weights(&routing, &[3.0, 1.0]); // 2 * 1.5, 2 * 0.5
}

#[test]
fn a_threshold_selects_and_a_softmax_over_the_selected_weighs() {
    let config = ComposedRouterConfig {
        score: Score::Sigmoid,
        select: Select::Threshold,
        threshold: 0.5,
        normalise: Normalise::Softmax,
        ..Default::default()
    };
    // sigmoids above 1/2 are logits above 0
    let routing = route(config, 3, &[1.0, 2.0, -1.0, -1.0, 0.0, 3.0]);
    assert_eq!(tokens(&routing), [0, 0, 1]);
    assert_eq!(experts(&routing), [1, 0, 2]);
    assert_weights(&routing, &[0.7310586, 0.2689414, 1.0]); // 1 / (1 + e^-1)
}

#[test]
fn the_share_of_sigmoids_is_that_of_their_sum() {
    let config = ComposedRouterConfig {
        score: Score::Sigmoid,
        select: Select::TopP,
        top_p: 0.6,
        ..Default::default()
    };
    // sigmoids 1/2, 3/4, 1/4: shares 1/3, 1/2, 1/6; 1/2 is not enough, 5/6 is
    let ln_3 = 3.0f32.ln();
    let routing = route(config, 3, &[0.0, ln_3, -ln_3]);
    assert_eq!(experts(&routing), [1, 0]);
    assert_weights(&routing, &[0.6, 0.4]); // 3/4 / (5/4), 1/2 / (5/4)
}

#[test]
fn cosines_forget_the_length_of_a_token() {
    let config = ComposedRouterConfig {
        score: Score::Cosine,
        temperature: 0.5,
        top_k: 1,
        normalise: Normalise::None,
        ..Default::default()
    };
    // cosines 0.6 and 0.8 over 0.5: logits 1.2 and 1.6; 1 / (1 + e^-0.4) = 0.5986877
    let routing = route(config, 2, &[3.0, 4.0, 0.3, 0.4]);
    let logits = TensorData::from([[1.2f32, 1.6], [1.2, 1.6]]);
    let tolerance = Tolerance::absolute(1e-5);
    routing
        .logits
        .to_data()
        .assert_approx_eq::<f32>(&logits, tolerance);
    assert_eq!(experts(&routing), [1, 1]);
    assert_weights(&routing, &[0.5986877, 0.5986877]);
}

#[test]
fn overflow_drops_or_sends_on() {
    let of = |overflow| {
        let config = ComposedRouterConfig {
            top_k: 1,
            normalise: Normalise::None,
            capacity: CapacityRule::Switch,
            capacity_factor: 1.0,
            overflow,
            ..Default::default()
        };
        // both tokens prefer expert 0, which has one place; gates 0.7310586 and 0.2689414
        route(config, 2, &[1.0, 0.0, 1.0, 0.0])
    };
    let dropped = of(Overflow::Drop);
    assert_eq!(experts(&dropped), [0, 0]);
    assert_eq!(kept(&dropped), [true, false]);
    let sent_on = of(Overflow::NextChoice);
    assert_eq!(experts(&sent_on), [0, 1]);
    assert_eq!(kept(&sent_on), [true, true]);
    assert_weights(&sent_on, &[0.7310586, 0.2689414]);
}

#[test]
fn the_next_choice_stays_within_the_groups() {
    let config = ComposedRouterConfig {
        select: Select::GroupLimited,
        n_groups: 2,
        top_k: 1,
        capacity: CapacityRule::Switch,
        capacity_factor: 1.0,
        overflow: Overflow::NextChoice,
        ..Default::default()
    };
    // C = int(3 / 4) = 1, raised to 1; all three tokens may use experts 0 and 1 alone
    let routing = route(config, 4, &[3.0, 2.0, 1.0, 0.0].repeat(3));
    assert_eq!(experts(&routing), [0, 1, 0]);
    assert_eq!(kept(&routing), [true, true, false]);
}

#[test]
fn experts_choose_by_the_capacity_rule() {
    let config = ComposedRouterConfig {
        select: Select::ExpertChoice,
        capacity: CapacityRule::ExpertChoice,
        capacity_factor: 1.0,
        normalise: Normalise::None,
        ..Default::default()
    };
    assert_eq!(config.experts_per_token(2), 1.0);
    // C = round(2 * 1 / 2) = 1
    let routing = route(config, 2, &[1.0, 0.0, 2.0, 0.0]);
    assert_eq!(tokens(&routing), [1, 0]);
    assert_eq!(experts(&routing), [0, 1]);
}

#[test]
fn noise_acts_in_training_alone() {
    let device = Device::flex();
    for noise in [Noise::Gaussian, Noise::Jitter] {
        let config = ComposedRouterConfig {
            noise,
            ..Default::default()
        };
        let router = router(config, 4, &device);
        let scores = |seed| {
            let input = RouterInput::new(rows(&[0.4, 0.3, 0.2, 0.1], 4, &device)).noise(seed);
            let routing = router.route(input);
            let noisy = routing.noisy.map(|noisy| noisy.logits);
            noisy.unwrap_or(routing.logits).into_data()
        };
        assert_ne!(scores(Some(1)), scores(None));
        assert_ne!(scores(Some(1)), scores(Some(2)));
        assert_eq!(scores(Some(1)), scores(Some(1)));
    }
}

#[test]
fn the_bias_moves_if_there_is_one() {
    let device = Device::flex();
    let load = Load {
        kept: vec![3.0, 1.0],
        asked: vec![3.0, 1.0],
        n_tokens: 4.0,
        ..Default::default()
    };
    let plain = router(ComposedRouterConfig::default(), 2, &device).advance(&load);
    assert!(plain.bias.is_none());
    let config = ComposedRouterConfig {
        bias: Bias::Sign,
        top_k: 1,
        ..Default::default()
    };
    let router = router(config, 2, &device).advance(&load);
    let bias = router.bias.as_ref().expect("a bias").val();
    bias.into_data()
        .assert_eq(&TensorData::from([-0.001f32, 0.001]), true);
    // it decides a tie and does not weigh
    let routing = router.route(RouterInput::new(rows(&[0.0, 0.0], 2, &device)));
    assert_eq!(experts(&routing), [1]);
    assert_weights(&routing, &[1.0]);
}

#[test]
fn causality_follows_from_the_parts() {
    let causal = |keys: serde_json::Value| Preset::causality(&read(keys)).is_causal();
    use serde_json::json;
    assert!(causal(json!({})));
    assert!(causal(json!({ "capacity": "megatron" })));
    assert!(causal(
        json!({ "capacity": "megatron", "overflow": "next_choice" })
    ));
    assert!(!causal(
        json!({ "capacity": "megatron", "fill": "choice_by_choice" })
    ));
    assert!(causal(
        json!({ "capacity": "switch", "fill": "choice_by_choice", "top_k": 1 })
    ));
    assert!(!causal(
        json!({ "capacity": "switch", "fill": "choice_by_choice", "top_k": 1, "select": "top_p" })
    ));
    assert!(!causal(
        json!({ "capacity": "switch", "priority": "score" })
    ));
    let random = read(json!({ "capacity": "switch", "priority": "random" }));
    assert!(!Preset::causality(&random).is_causal_in_training());
    assert!(!causal(
        json!({ "select": "expert_choice", "capacity": "expert_choice" })
    ));
}

#[test]
fn a_key_that_no_part_uses_is_an_error() {
    let unused = |keys: serde_json::Value| error(read(keys));
    use serde_json::json;
    assert_eq!(
        unused(json!({ "top_p": 0.9 })),
        "router.top_p has no effect here: it needs router.select = \"top_p\". Leave the key out, or choose that part"
    );
    for (keys, key) in [
        (json!({ "temperature": 1.0 }), "temperature"),
        (json!({ "threshold": 0.1 }), "threshold"),
        (json!({ "n_groups": 2 }), "n_groups"),
        (json!({ "topk_groups": 2 }), "topk_groups"),
        (json!({ "group_score": "top_two_sum" }), "group_score"),
        (json!({ "capacity_factor": 2.0 }), "capacity_factor"),
        (
            json!({ "capacity": "switch", "min_capacity": 1 }),
            "min_capacity",
        ),
        (json!({ "priority": "score" }), "priority"),
        (json!({ "fill": "choice_by_choice" }), "fill"),
        (json!({ "overflow": "next_choice" }), "overflow"),
        (json!({ "noise_std": 2.0 }), "noise_std"),
        (json!({ "noise": "gaussian", "jitter": 0.1 }), "jitter"),
        (json!({ "bias_update_speed": 0.1 }), "bias_update_speed"),
        (
            json!({ "select": "expert_choice", "capacity": "expert_choice", "top_k": 3 }),
            "top_k",
        ),
    ] {
        let message = unused(keys);
        let start = format!("router.{key} has no effect here: it needs ");
        assert!(message.starts_with(&start), "{message}");
    }
}

#[test]
fn parts_and_values_that_do_not_fit_are_errors() {
    use serde_json::json;
    for (keys, part) in [
        (json!({ "select": "expert_choice" }), "set router.capacity"),
        (
            json!({ "select": "top_p", "capacity": "switch", "overflow": "next_choice" }),
            "router.overflow = \"next_choice\" needs",
        ),
        (
            json!({ "select": "positive", "bias": "sign" }),
            "router.bias = \"sign\" needs",
        ),
        (json!({ "top_k": 9 }), "router.top_k = 9"),
        (json!({ "top_k": 0 }), "router.top_k = 0"),
        (
            json!({ "select": "top_p", "top_p": 1.5 }),
            "router.top_p = 1.5",
        ),
        (
            json!({ "noise": "jitter", "jitter": 1.0 }),
            "router.jitter = 1",
        ),
        (
            json!({ "select": "group_limited", "n_groups": 3 }),
            "router.n_groups = 3",
        ),
        (
            json!({ "select": "expert_choice", "capacity": "switch", "capacity_factor": 9.0 }),
            "router.capacity_factor = 9",
        ),
    ] {
        let message = error(read(keys));
        assert!(message.contains(part), "{message}");
    }
}

/// Law 15 and 17: neither another sequence nor padding changes what happens to a sequence.
#[test]
fn neighbours_and_padding_change_nothing() {
    let device = Device::flex();
    let keys = serde_json::json!({
        "capacity": "switch", "capacity_factor": 0.5, "priority": "score", "fill": "choice_by_choice",
    });
    let router = router(read(keys), 4, &device);
    let first = [0.9, 0.1, 0.3, 0.2, 0.8, 0.4, 0.0, 0.1, 0.7, 0.2, 0.5, 0.3];
    let second = [1.9, 1.1, 0.3, 0.2, 1.8, 0.4, 0.0, 0.1, 1.7, 0.2, 0.5, 0.3];
    let decided = |routing: &Routing| {
        let n = experts(routing).len().min(6);
        (experts(routing)[..n].to_vec(), kept(routing)[..n].to_vec())
    };
    let alone = router.route(RouterInput::new(rows(&first, 4, &device)));
    assert!(kept(&alone).contains(&false));

    let both = rows(&[first, second].concat(), 4, &device);
    let beside = router.route(RouterInput::new(both.clone()).groups(2));
    assert_eq!(decided(&alone), decided(&beside));

    let padding = [false, false, false, true, true, true];
    let padded = router.route(RouterInput::new(both).padding(padding.into()));
    assert_eq!(decided(&alone), decided(&padded));
    assert_eq!(experts(&padded).len(), 6);
}

#[test]
fn the_bias_moves_by_what_full_experts_were_asked_for() {
    let config = ComposedRouterConfig {
        top_k: 1,
        capacity: CapacityRule::Switch,
        capacity_factor: 0.5,
        bias: Bias::Sign,
        ..Default::default()
    };
    let device = Device::flex();
    let router = router(config, 2, &device);
    // six tokens prefer expert 0 and two expert 1; C = int(8 / 2 * 0.5) = 2, and both are full
    let x = [[1.0, 0.0].repeat(6), [0.0, 1.0].repeat(2)].concat();
    let load = router.route(RouterInput::new(rows(&x, 2, &device))).load();
    assert_eq!(load.kept, [2.0, 2.0]);
    let bias = router.advance(&load).bias.expect("a bias").val();
    bias.into_data()
        .assert_eq(&TensorData::from([-0.001f32, 0.001]), true);
}

#[test]
fn a_token_without_a_positive_score_has_no_share_to_choose_by() {
    let config = ComposedRouterConfig {
        score: Score::Relu,
        select: Select::TopP,
        top_p: 0.9,
        normalise: Normalise::None,
        ..Default::default()
    };
    let routing = route(config, 3, &[-1.0, -2.0, 0.0, 3.0, 1.0, -1.0]);
    assert_eq!(tokens(&routing), [1, 1]);
    assert_eq!(experts(&routing), [0, 1]);
    assert_weights(&routing, &[3.0, 1.0]);
}

#[test]
fn the_speed_of_the_bias_is_finite_and_not_negative() {
    let speed = |bias_update_speed| ComposedRouterConfig {
        bias: Bias::Sign,
        bias_update_speed,
        ..Default::default()
    };
    assert!(error(speed(-5.0)).contains("router.bias_update_speed = -5"));
    assert!(error(speed(f64::NAN)).contains("router.bias_update_speed = NaN"));
    assert!(speed(0.0).validate(8).is_ok());
}
