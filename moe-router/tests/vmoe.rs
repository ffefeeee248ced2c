//! V-MoE's router gives what google-research/vmoe (run under jax 0.10.2 and flax 0.12.8) gives for the
//! same logits and the same noise: the same combine weights, drops included, and the same losses.
//! `fixtures/vmoe.json` holds two layers of tiny random models: batch priority with two experts a token, and
//! one expert by position. `fixtures/first_choice.json` is a layer in evaluation and what that code gives for
//! GShard's loss.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use moe_router::balance::{first_choice, vmoe_importance, vmoe_load};
use moe_router::zoo::{VmoeRouter, VmoeRouterConfig};
use moe_router::{Plan, Preset, Router, RouterInput, RouterShape, Routing};
use serde::Deserialize;

const N_EXPERTS: usize = 4;

#[derive(Deserialize)]
struct Case {
    config: VmoeRouterConfig,
    n_groups: usize,
    logits: Vec<f32>,
    noise: Vec<f32>,
    /// The gate of each kept (token, expert) pair, 0 for all others, `[T, E]`.
    combine: Vec<f32>,
    /// The losses of each group, `[G]`.
    importance_loss: Vec<f32>,
    load_loss: Vec<f32>,
}

#[derive(Deserialize)]
struct FirstChoice {
    n_groups: usize,
    logits: Vec<f32>,
    /// The loss of each group, `[G]`.
    loss: Vec<f32>,
}

fn rows(values: &[f32], device: &Device) -> Tensor<2> {
    Tensor::<1>::from_floats(values, device).reshape([values.len() / N_EXPERTS, N_EXPERTS])
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/vmoe.json")).expect("cases");
    assert_eq!(cases.len(), 2);
    cases
}

fn router(config: &VmoeRouterConfig, device: &Device) -> VmoeRouter {
    let shape = RouterShape {
        d_model: N_EXPERTS,
        n_experts: N_EXPERTS,
        layer: 0,
    };
    let mut router = config.init(&shape, device);
    router.gate.weight = Param::from_tensor(Tensor::eye(N_EXPERTS, device));
    router
}

fn route(case: &Case) -> Routing {
    let device = Device::flex();
    let input = RouterInput::new(rows(&case.logits, &device)).groups(case.n_groups);
    let noise = rows(&case.noise, &device);
    router(&case.config, &device).route(input.drawn_noise(Some(noise)))
}

/// The combine weights of a case, `[T, E]`.
fn combine(case: &Case) -> Vec<f32> {
    let routing = route(case);
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
    for case in &cases() {
        let ours = combine(case);
        let n_kept = case.combine.iter().filter(|&&w| w > 0.0).count();
        assert!(n_kept < case.config.top_k * ours.len() / N_EXPERTS, "drops");
        for (i, (ours, theirs)) in ours.iter().zip(&case.combine).enumerate() {
            assert!((ours - theirs).abs() < 1e-6, "pair {i}: {ours} {theirs}");
            assert_eq!(*ours > 0.0, *theirs > 0.0, "pair {i}");
        }
    }
}

/// Compares with the mean of what the reference gives for each group.
fn assert_mean(loss: Tensor<1>, of_groups: &[f32], what: &str) {
    let (loss, n) = (loss.into_scalar::<f32>(), of_groups.len() as f32);
    let expected = of_groups.iter().sum::<f32>() / n;
    assert!(
        (loss - expected).abs() < 1e-5 * expected,
        "{what}: {loss}, not {expected}"
    );
}

#[test]
fn losses_are_those_of_the_reference() {
    for case in &cases() {
        let routing = route(case);
        assert_mean(
            vmoe_importance(&routing),
            &case.importance_loss,
            "importance",
        );
        assert_mean(vmoe_load(&routing), &case.load_loss, "load");
    }
}

#[test]
fn the_loss_of_first_choices_is_that_of_the_reference() {
    let case: FirstChoice =
        serde_json::from_str(include_str!("fixtures/first_choice.json")).expect("a case");
    let device = Device::flex();
    let input = RouterInput::new(rows(&case.logits, &device)).groups(case.n_groups);
    let routing = router(&VmoeRouterConfig::default(), &device).route(input);
    assert_mean(first_choice(&routing), &case.loss, "first choice");
}
