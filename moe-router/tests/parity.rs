//! The balance losses, their gradients and the bias rule against reference numbers, which
//! `fixtures/balance_losses.py` makes from the published formulas and the published code.
#![allow(clippy::unwrap_used)]

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use moe_router::balance::{
    communication, device, expert, load_balance_pooled, load_balance_pooled_by_sequence, sequence,
    z,
};
use moe_router::zoo::{
    DeepSeekV2Router, DeepSeekV2RouterConfig, DeepSeekV3Router, DeepSeekV3RouterConfig,
    MixtralRouterConfig, SwitchRouterConfig,
};
use moe_router::{Plan, Preset, Router, RouterInput, RouterShape, Routing};
use serde::Deserialize;
use std::sync::Arc;

type Rows = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Fixture {
    given: Given,
    v2: V2,
    v3: V3,
    mixtral: MixtralRouter,
    switch: SwitchRouter,
}

#[derive(Deserialize)]
struct Given {
    top_k: usize,
    n_groups: usize,
    topk_groups: usize,
    logits: Vec<Rows>,
    bias: Vec<f32>,
    mixtral_logits: Vec<Rows>,
    mask: Vec<u8>,
}

#[derive(Deserialize)]
struct V2 {
    topk: Vec<Vec<Vec<u32>>>,
    expert: Vec<f64>,
    expert_grad: Vec<Rows>,
    device: Vec<f64>,
    device_grad: Vec<Rows>,
    communication: Vec<f64>,
    communication_grad: Vec<Rows>,
}

#[derive(Deserialize)]
struct V3 {
    sequence: Vec<f64>,
    sequence_grad: Vec<Rows>,
    bias: Rows,
    counts: Rows,
}

#[derive(Deserialize)]
struct MixtralRouter {
    aux: f64,
    aux_masked: f64,
}

#[derive(Deserialize)]
struct SwitchRouter {
    aux: f64,
    z: f64,
}

const N_EXPERTS: usize = 8;

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/balance_losses.json")).unwrap()
}

fn shape() -> RouterShape {
    RouterShape {
        d_model: N_EXPERTS,
        n_experts: N_EXPERTS,
        layer: 0,
    }
}

/// A gate that lets tokens through, so that tokens are logits.
fn identity(device: &Device) -> Param<Tensor<2>> {
    Param::from_tensor(Tensor::eye(N_EXPERTS, device))
}

fn tokens(rows: &[&Vec<f64>], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = rows
        .iter()
        .flat_map(|row| row.iter())
        .map(|&x| x as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, [rows.len(), N_EXPERTS]), device)
}

/// The tokens of all sequences, one sequence after the other.
fn all(sequences: &[Rows], device: &Device) -> Tensor<2> {
    tokens(&sequences.iter().flatten().collect::<Vec<_>>(), device)
}

fn v2_router(given: &Given, device: &Device) -> DeepSeekV2Router {
    let config = DeepSeekV2RouterConfig {
        top_k: given.top_k,
        n_groups: given.n_groups,
        topk_groups: given.topk_groups,
        ..Default::default()
    };
    let mut router = config.init(&shape(), device);
    router.gate.weight = identity(device);
    router
}

fn v3_router(given: &Given, device: &Device) -> DeepSeekV3Router {
    let config = DeepSeekV3RouterConfig {
        top_k: given.top_k,
        n_groups: given.n_groups,
        topk_groups: given.topk_groups,
        bias_update_speed: 0.001,
        ..Default::default()
    };
    let mut router = config.init(&shape(), device);
    router.gate.weight = identity(device);
    let bias = Tensor::from_floats(given.bias.as_slice(), device);
    router.bias = Param::from_tensor(bias).set_require_grad(false);
    router
}

fn assert_close(loss: Tensor<1>, expected: f64, what: &str) {
    let loss: f32 = loss.into_scalar();
    let difference = (f64::from(loss) - expected).abs() / expected.abs();
    assert!(difference < 1e-5, "{what}: {loss}, not {expected}");
}

/// Compares a loss, and its gradient by the logits with a tolerance relative to the largest entry.
fn check_with_gradient(
    router: &impl Router,
    loss: fn(&Routing) -> Tensor<1>,
    per_sequence: &[f64],
    expected_grad: &[Rows],
    what: &str,
) {
    let device = Device::flex().autodiff();
    let given = fixture().given;
    let x_td = all(&given.logits, &device).require_grad();
    let routing = router.route(RouterInput::new(x_td.clone()).groups(given.logits.len()));
    let value = loss(&routing);
    let mean = per_sequence.iter().sum::<f64>() / per_sequence.len() as f64;
    assert_close(value.clone(), mean, what);

    let grad = x_td.grad(&value.backward()).unwrap();
    let expected = all(expected_grad, &Device::flex());
    let largest: f32 = expected.clone().abs().max().into_scalar();
    assert!(largest > 1e-4, "{what}: the expected gradient is not zero");
    grad.into_data()
        .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-4 * largest));
}

#[test]
fn deepseek_v2_chooses_as_the_reference() {
    let (fixture, device) = (fixture(), Device::flex());
    let router = v2_router(&fixture.given, &device);
    let routing = router.route(RouterInput::new(all(&fixture.given.logits, &device)));
    let Plan::Sparse(plan) = &routing.plan else {
        panic!("a sparse plan");
    };
    let chosen: Vec<Vec<u32>> = plan
        .assignments
        .experts()
        .chunks(fixture.given.top_k)
        .map(|experts| {
            let mut experts = experts.to_vec();
            experts.sort_unstable();
            experts
        })
        .collect();
    assert_eq!(chosen, fixture.v2.topk.concat());
}

#[test]
fn deepseek_v2_losses_and_gradients() {
    let Fixture { given, v2, .. } = fixture();
    let router = v2_router(&given, &Device::flex().autodiff());
    check_with_gradient(&router, expert, &v2.expert, &v2.expert_grad, "expert");
    check_with_gradient(&router, device, &v2.device, &v2.device_grad, "device");
    let (losses, grads) = (&v2.communication, &v2.communication_grad);
    check_with_gradient(&router, communication, losses, grads, "communication");
}

#[test]
fn deepseek_v3_sequence_loss_and_gradient() {
    let Fixture { given, v3, .. } = fixture();
    let router = v3_router(&given, &Device::flex().autodiff());
    check_with_gradient(
        &router,
        sequence,
        &v3.sequence,
        &v3.sequence_grad,
        "sequence",
    );
}

#[test]
fn deepseek_v3_bias_follows_its_trajectory() {
    let (Fixture { given, v3, .. }, device) = (fixture(), Device::flex());
    let mut router = v3_router(&given, &device);
    assert_eq!(v3.counts.len() + 1, v3.bias.len());
    for (counts, bias) in v3.counts.iter().zip(&v3.bias[1..]) {
        let load = router
            .route(RouterInput::new(all(&given.logits, &device)))
            .load();
        assert_eq!(&load.kept, counts);
        router = router.advance(&load);
        let expected: Vec<f32> = bias.iter().map(|&x| x as f32).collect();
        let expected = TensorData::new(expected, [N_EXPERTS]);
        let data = router.bias.val().into_data();
        data.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-7));
    }
}

#[test]
fn mixtral_loss_is_pooled_over_layers_without_padding() {
    let (Fixture { given, mixtral, .. }, device) = (fixture(), Device::flex());
    let mut router = MixtralRouterConfig { top_k: 2 }.init(&shape(), &device);
    router.gate.weight = identity(&device);
    let padding: Arc<[bool]> = given.mask.iter().map(|&mask| mask == 0).collect();
    let layers = |padding: Option<Arc<[bool]>>| -> Vec<Routing> {
        let route = |rows: &Rows| {
            let input = RouterInput::new(tokens(&rows.iter().collect::<Vec<_>>(), &device));
            router.route(match &padding {
                Some(padding) => input.padding(padding.clone()),
                None => input,
            })
        };
        given.mixtral_logits.iter().map(route).collect()
    };
    let loss = |layers: Vec<Routing>| load_balance_pooled(&layers.iter().collect::<Vec<_>>());
    assert_close(loss(layers(None)), mixtral.aux, "all tokens");
    assert_close(loss(layers(Some(padding))), mixtral.aux_masked, "masked");
}

#[test]
fn switch_losses_count_before_dropping() {
    let (Fixture { given, switch, .. }, device) = (fixture(), Device::flex());
    let config = SwitchRouterConfig {
        capacity_factor: 0.25, // drops, which the loss does not see
        ..Default::default()
    };
    let mut router = config.init(&shape(), &device);
    router.gate.weight = identity(&device);
    let input = RouterInput::new(all(&given.logits, &device)).groups(given.logits.len());
    let routing = router.route(input);
    let load = routing.load();
    assert!(load.kept.iter().sum::<f64>() < load.asked.iter().sum::<f64>());

    let aux = load_balance_pooled_by_sequence(&[&routing]);
    assert_close(aux, switch.aux, "load balance");
    assert_close(z(&routing), switch.z, "z");
}
