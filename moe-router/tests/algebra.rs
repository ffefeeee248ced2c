//! Named routers are points of the product of parts: composed with the same gate, the parts give the
//! same routing to the last bit.

use burn::module::Param;
use burn::tensor::{Device, Distribution, Tensor};
use moe_router::zoo::{ComposedRouter, ComposedRouterConfig};
use moe_router::{
    AnyRouter, Plan, Preset, Router, RouterConfig, RouterInput, RouterShape, Routing,
};
use serde_json::{Value, json};

const SHAPE: RouterShape = RouterShape {
    d_model: 16,
    n_experts: 8,
    layer: 1,
};

/// Modes that are compared: evaluation alone, or training with its noise as well.
#[derive(Clone, Copy)]
enum Mode {
    Evaluation,
    Both,
}

fn named(keys: Value) -> RouterConfig {
    serde_json::from_value(keys).expect("a router")
}

fn composed(keys: Value) -> ComposedRouterConfig {
    serde_json::from_value(keys).expect("parts")
}

/// Everything that a routing decides, comparable bit by bit.
fn decided(routing: &Routing) -> Vec<(u32, u32, bool, u32)> {
    let Plan::Sparse(plan) = &routing.plan else {
        panic!("a sparse plan");
    };
    let a = &plan.assignments;
    let weights = plan.weights.to_data().try_into_vec::<f32>().expect("f32");
    (0..a.len())
        .map(|n| {
            let weight = weights[n].to_bits();
            (a.tokens()[n], a.experts()[n], a.kept()[n], weight)
        })
        .collect()
}

/// Gives the parts the gate (and the bias) of the named router.
fn share_gate(parts: &mut ComposedRouter, router: &AnyRouter) {
    parts.gate = match router {
        AnyRouter::Mixtral(r) => r.gate.clone(),
        AnyRouter::Switch(r) => r.gate.clone(),
        AnyRouter::DeepSeekMoe(r) => r.gate.clone(),
        AnyRouter::DeepSeekV2(r) => r.gate.clone(),
        AnyRouter::DeepSeekV3(r) => {
            parts.bias = Some(r.bias.clone());
            r.gate.clone()
        }
        AnyRouter::Vmoe(r) => r.gate.clone(),
        AnyRouter::GShard(r) => r.gate.clone(),
        AnyRouter::ExpertChoice(r) => r.gate.clone(),
        AnyRouter::TopP(r) => r.gate.clone(),
        other => panic!("{other:?} has no gate to share"),
    };
}

fn inputs(mode: Mode, device: &Device) -> Vec<RouterInput> {
    let padding: Vec<bool> = (0..24).map(|t| t % 8 == 7).collect();
    let seeds = match mode {
        Mode::Evaluation => vec![None],
        Mode::Both => vec![None, Some(1), Some(2)],
    };
    let mut inputs = Vec::new();
    for seed in seeds {
        for _ in 0..6 {
            let x = Tensor::random([24, 16], Distribution::Normal(0.0, 1.0), device);
            let input = RouterInput::new(x).groups(3).noise(seed);
            inputs.push(input.clone());
            inputs.push(input.padding(padding.clone().into()));
        }
    }
    inputs
}

fn same(name: Value, parts: Value, mode: Mode) {
    let device = Device::flex();
    let (name, parts) = (named(name), composed(parts));
    name.validate(SHAPE.n_experts).expect("a valid router");
    parts.validate(SHAPE.n_experts).expect("valid parts");
    assert_eq!(
        name.info().causality.is_causal(),
        parts.causality().is_causal()
    );
    assert_eq!(name.info().family, parts.family());
    let mut router = name.init(&SHAPE, &device);
    if let AnyRouter::DeepSeekV3(r) = &mut router {
        // a bias that decides, and some scores below zero
        let bias = Tensor::random([8], Distribution::Uniform(-0.9, 0.3), &device);
        r.bias = Param::from_tensor(bias).set_require_grad(false);
    }
    let mut parts = parts.init(&SHAPE, &device);
    share_gate(&mut parts, &router);

    for input in inputs(mode, &device) {
        let (ours, theirs) = (parts.route(input.clone()), router.route(input));
        assert_eq!(decided(&ours), decided(&theirs), "{}", name.name());
        assert_eq!(ours.probs().to_data(), theirs.probs().to_data());
        assert_eq!(ours.logits.to_data(), theirs.logits.to_data());
    }
}

#[test]
fn mixtral() {
    same(json!({ "name": "mixtral" }), json!({}), Mode::Both);
    same(
        json!({ "name": "mixtral", "top_k": 3 }),
        json!({ "top_k": 3 }),
        Mode::Both,
    );
}

#[test]
fn switch() {
    same(
        json!({ "name": "switch", "capacity_factor": 0.8, "jitter": 0.1 }),
        json!({
            "top_k": 1, "normalise": "none", "capacity": "switch", "capacity_factor": 0.8,
            "noise": "jitter", "jitter": 0.1,
        }),
        Mode::Both,
    );
}

#[test]
fn deepseek_moe() {
    same(
        json!({ "name": "deepseek_moe", "top_k": 3 }),
        json!({ "top_k": 3, "normalise": "none" }),
        Mode::Both,
    );
}

#[test]
fn deepseek_v2() {
    same(
        json!({
            "name": "deepseek_v2", "top_k": 3, "n_groups": 4, "topk_groups": 2,
            "routed_scaling_factor": 16.0,
        }),
        json!({
            "select": "group_limited", "top_k": 3, "n_groups": 4, "topk_groups": 2,
            "normalise": "none", "routed_scaling_factor": 16.0,
        }),
        Mode::Both,
    );
}

#[test]
fn deepseek_v3() {
    same(
        json!({
            "name": "deepseek_v3", "top_k": 3, "n_groups": 4, "topk_groups": 2,
            "routed_scaling_factor": 2.5,
        }),
        json!({
            "score": "sigmoid", "select": "group_limited", "top_k": 3, "n_groups": 4,
            "topk_groups": 2, "group_score": "top_two_sum", "routed_scaling_factor": 2.5,
            "bias": "sign",
        }),
        Mode::Both,
    );
}

#[test]
fn vmoe() {
    for priority in ["position", "score", "random"] {
        same(
            json!({
                "name": "vmoe", "capacity_factor": 0.8, "priority": priority, "noise_std": 2.0,
            }),
            json!({
                "normalise": "none", "capacity": "vmoe", "capacity_factor": 0.8,
                "fill": "choice_by_choice", "priority": priority, "noise": "gaussian",
                "noise_std": 2.0,
            }),
            Mode::Both,
        );
    }
}

#[test]
fn gshard_in_evaluation() {
    same(
        json!({ "name": "gshard", "capacity_factor": 0.5 }),
        json!({ "capacity": "gshard", "capacity_factor": 0.5, "fill": "choice_by_choice" }),
        Mode::Evaluation,
    );
}

#[test]
fn top_p() {
    for p in [0.25, 0.6, 1.0] {
        same(
            json!({ "name": "top_p", "p": p }),
            json!({ "select": "top_p", "top_p": p, "normalise": "none" }),
            Mode::Both,
        );
    }
}

#[test]
fn expert_choice() {
    same(
        json!({ "name": "expert_choice", "capacity_factor": 1.5 }),
        json!({
            "select": "expert_choice", "normalise": "none", "capacity": "expert_choice",
            "capacity_factor": 1.5,
        }),
        Mode::Both,
    );
}

/// The comparison would notice: parts that differ in one key route differently.
#[test]
#[should_panic(expected = "mixtral")]
fn other_parts_are_another_router() {
    same(
        json!({ "name": "mixtral" }),
        json!({ "score": "sigmoid" }),
        Mode::Evaluation,
    );
}
