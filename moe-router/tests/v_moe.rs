//! V-MoE's router gives what google-research/vmoe (run under jax 0.10.2 and flax 0.12.8) gives for the
//! same logits and the same noise: the same combine weights, drops included. `fixtures/v_moe.json` holds two
//! layers of tiny random models: batch priority with two experts a token, and one expert by position.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use moe_router::{Plan, Preset, RouterInput, RouterShape, VMoeConfig};
use serde::Deserialize;

const N_EXPERTS: usize = 4;

#[derive(Deserialize)]
struct Case {
    config: VMoeConfig,
    n_groups: usize,
    logits: Vec<f32>,
    noise: Vec<f32>,
    /// The gate of each kept (token, expert) pair, 0 for all others, `[T, E]`.
    combine: Vec<f32>,
}

fn rows(values: &[f32], device: &Device) -> Tensor<2> {
    Tensor::<1>::from_floats(values, device).reshape([values.len() / N_EXPERTS, N_EXPERTS])
}

/// The combine weights of a case, `[T, E]`.
fn combine(case: &Case) -> Vec<f32> {
    let device = Device::flex();
    let shape = RouterShape {
        d_model: N_EXPERTS,
        n_experts: N_EXPERTS,
        layer: 0,
    };
    let mut router = case.config.init(&shape, &device);
    router.gate.weight = Param::from_tensor(Tensor::eye(N_EXPERTS, &device));
    let input = RouterInput::new(rows(&case.logits, &device)).groups(case.n_groups);
    let routing = router.route_with_noise(input, Some(rows(&case.noise, &device)));
    let Plan::Sparse(plan) = &routing.plan else {
        panic!("a sparse plan");
    };
    let weights = plan.weights.to_data().try_into_vec::<f32>().expect("f32");
    let mut combine = vec![0.0; case.combine.len()];
    let a = &plan.assignments;
    for n in (0..a.len()).filter(|&n| a.kept()[n]) {
        combine[a.tokens()[n] as usize * N_EXPERTS + a.experts()[n] as usize] = weights[n];
    }
    combine
}

#[test]
fn combine_weights_are_those_of_the_reference() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("fixtures/v_moe.json")).expect("cases");
    assert_eq!(cases.len(), 2);
    for case in &cases {
        let ours = combine(case);
        let n_kept = case.combine.iter().filter(|&&w| w > 0.0).count();
        assert!(n_kept < case.config.top_k * ours.len() / N_EXPERTS, "drops");
        for (i, (ours, theirs)) in ours.iter().zip(&case.combine).enumerate() {
            assert!((ours - theirs).abs() < 1e-6, "pair {i}: {ours} {theirs}");
            assert_eq!(*ours > 0.0, *theirs > 0.0, "pair {i}");
        }
    }
}
