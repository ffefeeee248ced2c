//! The experts on every backend: the fused operation at sizes of more than one tile, output and all
//! gradients, against the slow loop; the choice of experts on the device against that of the host; and a step of training
//! whose choices stay on the device against one that goes through the host. The laws check smaller cases, and more of them.

use crate::{devices, difference, tensor};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use moe_experts::{
    Activation, ExpertWeights, MoeLayer, MoeLayerConfig, MoeOutput, RowPlan, moe_ffn, reference,
};
use moe_router::balance::BalanceConfig;
use moe_router::parts::{ExpertGroups, GroupScore, top_k, top_k_on_device};
use moe_router::zoo::{
    DeepSeekV2RouterConfig, DeepSeekV3RouterConfig, SwitchRouterConfig, VmoeRouterConfig,
};
use moe_router::{RouterConfig, RouterInput, reads};
use std::sync::Arc;

const N_TOKENS: usize = 700;
const D_MODEL: usize = 48;
const N_EXPERTS: usize = 6;
const D_EXPERT: usize = 72;
const TOP_K: usize = 3;

/// Expert 5 gets nothing, every eleventh assignment is dropped.
fn plan() -> Arc<RowPlan> {
    let ids = 0..(N_TOKENS * TOP_K) as u32;
    let tokens: Vec<u32> = ids.clone().map(|a| a / TOP_K as u32).collect();
    let experts: Vec<u32> = ids
        .clone()
        .map(|a| (a % TOP_K as u32 * 2 + a / TOP_K as u32 / 5) % 5)
        .collect();
    let kept: Vec<bool> = ids.map(|a| a % 11 != 0).collect();
    Arc::new(RowPlan::new(&tokens, &experts, &kept, N_TOKENS, N_EXPERTS))
}

/// Output, then the gradients of tokens, weights, up, down and, if any, gate.
fn results(
    activation: Activation,
    device: &Device,
    run: impl Fn(Tensor<2>, ExpertWeights, Tensor<1>) -> Tensor<2>,
) -> Vec<TensorData> {
    let device = &device.clone().autodiff();
    let [e, d, f] = [N_EXPERTS, D_MODEL, D_EXPERT];
    let x_td = tensor([N_TOKENS, d], 1, device).require_grad();
    let weights_n = tensor([N_TOKENS * TOP_K], 2, device).require_grad();
    let stacks = ExpertWeights {
        gate: activation
            .is_gated()
            .then(|| tensor([e, d, f], 10, device).require_grad()),
        up: tensor([e, d, f], 20, device).require_grad(),
        down: tensor([e, f, d], 30, device).require_grad(),
        biases: None,
    };
    let y_td = run(x_td.clone(), stacks.clone(), weights_n.clone());
    let target_td = tensor([N_TOKENS, d], 3, device);
    let grads = (y_td.clone() * target_td).sum().backward();
    let of = |gradient: Option<Tensor<3>>| gradient.expect("a gradient").into_data();
    let mut results = vec![
        y_td.into_data(),
        x_td.grad(&grads).expect("a gradient").into_data(),
        weights_n.grad(&grads).expect("a gradient").into_data(),
        of(stacks.up.grad(&grads)),
        of(stacks.down.grad(&grads)),
    ];
    results.extend(stacks.gate.map(|gate| of(gate.grad(&grads))));
    results
}

#[test]
fn every_backend_gives_what_the_slow_loop_gives() {
    let plan = plan();
    for activation in [Activation::SwiGlu, Activation::Gelu] {
        let slow = |x, w, g| reference::moe_ffn(x, w, g, &plan, activation);
        let expected = results(activation, &Device::flex(), slow);
        for (name, device) in devices() {
            let fast = |x, w, g| moe_ffn(x, w, g, plan.clone(), activation);
            let actual = results(activation, &device, fast);
            let worst = actual
                .iter()
                .zip(&expected)
                .map(|(a, e)| difference(a, e))
                .fold(0.0, f64::max);
            eprintln!(
                "{name} {activation:?}: differs by at most {worst:.1e} of the largest number"
            );
            assert!(worst < 1e-4, "{name} {activation:?}: {worst}");
        }
    }
}

/// Scores of 64 tokens for 16 experts, among which ties, infinities and what is not a number are frequent.
fn odd_scores() -> Vec<f32> {
    let odd = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, 0.0, -0.0];
    let score = |i: u32| match i.wrapping_mul(2_654_435_761) >> 20 {
        hash if hash % 9 == 0 => odd[hash as usize / 9 % odd.len()],
        hash => (hash % 7) as f32 * 0.5,
    };
    (0..64 * 16).map(score).collect()
}

#[test]
fn every_backend_chooses_as_the_host_does_to_the_last_tie() {
    let scores = odd_scores();
    let groups = ExpertGroups {
        n_groups: 4,
        topk_groups: 2,
        score: GroupScore::TopTwoSum,
    };
    let mut allowed = scores.clone();
    groups.mask(&mut allowed, 16);
    let host =
        |scores: &[f32]| -> Vec<u32> { scores.chunks(16).flat_map(|row| top_k(row, 5)).collect() };
    for (name, device) in devices() {
        let scores_te = Tensor::<1>::from_floats(&scores[..], &device).reshape([64, 16]);
        let chosen = reads::ints(top_k_on_device(scores_te.clone(), 5));
        assert_eq!(chosen, host(&scores), "{name}");
        let chosen = reads::ints(top_k_on_device(groups.mask_on_device(scores_te), 5));
        assert_eq!(chosen, host(&allowed), "{name}, within groups");
    }
}

/// The routers whose choices stay on a device, and the reads of a layer and of a step of training.
fn routers() -> [(RouterConfig, u64); 5] {
    let groups = DeepSeekV3RouterConfig {
        top_k: 4,
        n_groups: 4,
        topk_groups: 2,
        ..Default::default()
    };
    let devices = DeepSeekV2RouterConfig {
        top_k: 3,
        n_groups: 4,
        topk_groups: 2,
        ..Default::default()
    };
    let tight = VmoeRouterConfig {
        capacity_factor: 0.8,
        ..Default::default()
    };
    [
        (RouterConfig::mixtral(2), 1),
        (groups.into(), 1),
        (devices.into(), 1),
        // a capacity says where rows lie
        (SwitchRouterConfig::default().into(), 0),
        (tight.into(), 0),
    ]
}

/// The output of a layer, a loss with the router's own balance terms, gradients of tokens, gate and experts, and the
/// host's reads in between.
fn layer_step(
    layer: &MoeLayer,
    balance: &BalanceConfig,
    input: RouterInput,
) -> (Vec<Tensor<1>>, u64) {
    let x_td = input.x_td.clone();
    let ((output, loss), forward) = reads::during(|| {
        let MoeOutput { output, routing } = layer.forward_tokens(input);
        let terms = balance.terms(&routing).into_iter();
        let penalty = terms.map(|term| term.value * term.weight);
        let loss = (output.clone() * x_td.clone().detach()).mean();
        (output, penalty.fold(loss, |sum, term| sum + term))
    });
    let (gradients, backward) = reads::during(|| loss.backward());
    let stack = layer.experts.up.val().grad(&gradients).expect("a gradient");
    let flat = |x: Tensor<2>| x.flatten::<1>(0, 1);
    let found = vec![
        flat(output),
        loss,
        flat(x_td.grad(&gradients).expect("a gradient")),
        stack.flatten(0, 2),
    ];
    (found, forward.count + backward.count)
}

#[test]
fn a_training_step_of_a_layer_reads_the_loads_or_nothing() {
    for (router, n_reads) in routers() {
        for n_experts in [8, 32] {
            let balance = router.balance();
            let config = MoeLayerConfig::new(32, n_experts, 24).with_router(router.clone());
            let on_host = Device::flex().autodiff();
            let layer = config.init(&on_host);
            let record = layer.clone().into_record();
            let input = |device: &Device| {
                RouterInput::new(tensor([512, 32], 5, device).require_grad())
                    .groups(4)
                    .noise(Some(3))
            };
            let (expected, _) = layer_step(&layer, &balance, input(&on_host));
            for (name, device) in devices() {
                let device = device.autodiff();
                let layer = config.init(&device).load_record(record.clone());
                let input = input(&device).stay_on_device(true);
                let (found, read) = layer_step(&layer, &balance, input);
                assert_eq!(read, n_reads, "{name} {router:?}");
                for (found, expected) in found.into_iter().zip(&expected) {
                    let (found, expected) = (found.into_data(), expected.to_data());
                    let worst = difference(&found, &expected);
                    assert!(worst < 1e-4, "{name} {router:?}: {worst}");
                }
            }
        }
    }
}
