//! Tests of the parts together.

use super::*;
use crate::Sampling;
use burn::tensor::{Device, Int, Tensor, Tolerance};
use moe_experts::{Activation, MoeLayerConfig};
use moe_router::zoo::SwitchRouterConfig;
use moe_router::{AnyRouter, RouterConfig};

/// A model of two layers each, of which the second is sparse.
pub(super) fn config() -> SwitchConfig {
    let stack = SwitchStackConfig {
        n_layers: 2,
        sparse_step: 2,
    };
    let moe = MoeLayerConfig::new(8, 3, 5).with_activation(Activation::Relu);
    SwitchConfig::new(13, stack, stack, 2, 10, moe)
        .with_head_dim(3)
        .with_n_buckets(4)
        .with_max_distance(6)
}

fn router(expert_capacity: usize) -> RouterConfig {
    RouterConfig::Switch(SwitchRouterConfig {
        expert_capacity: Some(expert_capacity),
        jitter: 0.0,
        ..Default::default()
    })
}

fn model(config: &SwitchConfig, capacity: usize) -> Switch {
    let router = router(capacity);
    config.init_seeded(&router, &router, 3, &Device::flex())
}

fn ids<const L: usize>(ids: [[i64; L]; 2]) -> Tensor<2, Int> {
    Tensor::from_data(ids, &Device::flex())
}

fn texts() -> Tensor<2, Int> {
    ids([[4, 7, 2, 9, 1], [3, 3, 8, 5, 12]])
}

fn targets() -> Tensor<2, Int> {
    ids([[0, 6, 2, 10], [0, 11, 9, 9]])
}

#[track_caller]
fn close(a: Tensor<3>, b: Tensor<3>) {
    a.into_data()
        .assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(1e-5));
}

#[test]
fn a_cache_writes_what_the_whole_pass_writes_while_nothing_is_dropped() {
    let model = model(&config(), 9);
    let whole = model.forward(SwitchInput::new(texts(), targets()));
    assert_eq!(whole.logits.dims(), [2, 4, 13]);
    let encoded = model.encode(texts(), None);
    let mut cache = model.new_cache(&encoded);
    assert!(cache.is_empty());
    for t in 0..4 {
        let step = model.decode(targets().narrow(1, t, 1), &mut cache);
        close(step.logits, whole.logits.clone().narrow(1, t, 1));
        assert_eq!(cache.len(), t + 1);
    }
    // several tokens at once give the same
    let mut cache = model.new_cache(&encoded);
    model.decode(targets().narrow(1, 0, 1), &mut cache);
    let rest = model.decode(targets().narrow(1, 1, 3), &mut cache);
    close(rest.logits, whole.logits.narrow(1, 1, 3));
}

#[test]
fn a_capacity_drops_in_whole_passes_and_never_token_by_token() {
    let model = model(&config(), 1);
    let whole = model.forward(SwitchInput::new(texts(), targets()));
    let load = whole.decoder_routings[0].load();
    assert!(load.kept.iter().sum::<f64>() < load.asked.iter().sum::<f64>());
    let mut cache = model.new_cache(&model.encode(texts(), None));
    for t in 0..4 {
        let step = model.decode(targets().narrow(1, t, 1), &mut cache);
        let load = step.decoder_routings[0].load();
        assert_eq!(load.kept, load.asked);
    }
}

#[test]
fn the_decoder_is_causal_and_the_encoder_is_not() {
    let model = model(&config(), 9);
    let logits = |texts, targets| model.forward(SwitchInput::new(texts, targets)).logits;
    let before = logits(texts(), targets());
    let later = ids([[0, 6, 2, 1], [0, 11, 9, 4]]);
    let after = logits(texts(), later);
    let first = |x: &Tensor<3>| x.clone().narrow(1, 0, 3);
    first(&after)
        .into_data()
        .assert_eq(&first(&before).into_data(), true);
    let other = logits(ids([[4, 7, 2, 9, 2], [3, 3, 8, 5, 6]]), targets());
    let change: f32 = (first(&other) - first(&before)).abs().max().into_scalar();
    assert!(change > 1e-3, "{change}");
}

#[test]
fn padding_changes_nothing_if_routers_leave_it_out() {
    let padded = ids([[4, 7, 2, 9, 1, 5], [3, 3, 8, 5, 12, 7]]);
    let marks: Vec<bool> = (0..12).map(|i| i % 6 == 5).collect();
    let run = |padded_tokens| {
        let model = model(&config().with_padded_tokens(padded_tokens), 2);
        let plain = model.forward(SwitchInput::new(texts(), targets()));
        let input = SwitchInput::new(padded.clone(), targets()).padding(marks.clone().into());
        [plain, model.forward(input)]
    };
    let [plain, with_padding] = run(PaddedTokens::LeftOut);
    close(plain.logits, with_padding.logits);
    let asked =
        |output: &SwitchOutput| -> f64 { output.encoder_routings[0].load().asked.iter().sum() };
    let [plain, with_padding] = run(PaddedTokens::Routed);
    assert_eq!((asked(&plain), asked(&with_padding)), (10.0, 12.0));
}

#[test]
fn input_jitter_reaches_the_experts_in_training_alone() {
    let model = model(&config().with_input_jitter(0.1), 9);
    let logits = |noise| {
        let input = SwitchInput::new(texts(), targets()).noise(noise);
        model.forward(input).logits.into_data()
    };
    assert_eq!(logits(None), logits(None));
    assert_eq!(logits(Some(1)), logits(Some(1)));
    assert_ne!(logits(None), logits(Some(1)));
    assert_ne!(logits(Some(2)), logits(Some(1)));
}

#[test]
fn a_generator_stops_and_never_writes_what_is_banned() {
    let model = model(&config(), 9);
    let greedy = Sampling {
        temperature: 0.0,
        ..Default::default()
    };
    let write = |stop: &[u32], banned: &[u32]| {
        let mut generator = SwitchGenerator::new(&model, greedy, 0, &Device::flex())
            .stop_tokens(stop)
            .banned(banned);
        let mut text = Vec::new();
        let ran = generator.run(&[4, 7, 2], 5, |token| {
            assert_eq!(token.experts.len(), 1);
            text.push(token.id);
            true
        });
        ran.expect("finite scores");
        text
    };
    let text = write(&[], &[]);
    assert_eq!(text.len(), 5);
    assert_eq!(write(&text[..1], &[]), text[..1]);
    assert!(!write(&[], &text).iter().any(|id| text.contains(id)));
}

#[test]
fn a_router_that_leaks_may_read_and_not_write() {
    let (causal, leaky) = (router(9), RouterConfig::from_name("expert_choice").unwrap());
    assert!(config().validate(&leaky, &causal).is_ok());
    let error = config().validate(&causal, &leaky).unwrap_err().to_string();
    assert!(error.contains("expert_choice"), "{error}");
    let allowed = config().with_allow_leak(true);
    assert!(allowed.validate(&causal, &leaky).is_ok());
}

#[test]
#[should_panic(expected = "a decoder needs a causal router")]
fn a_decoder_is_not_built_around_a_leak() {
    let leaky = RouterConfig::from_name("expert_choice").unwrap();
    let device = Device::flex();
    let _: Switch = config().init(|shape| leaky.init(shape, &device), &device);
}

#[test]
fn routers_advance_in_the_order_of_their_routings() {
    let device = Device::flex();
    let balanced = RouterConfig::from_name("loss_free").unwrap();
    let model = config().init_seeded(&balanced, &balanced, 3, &device);
    let output = model.forward(SwitchInput::new(texts(), targets()));
    let loads: Vec<_> = output.routings().map(|routing| routing.load()).collect();
    assert_eq!(loads.len(), 2);
    let bias = |model: &Switch| {
        let router = model.decoder.layers[1].feed_forward.experts();
        let AnyRouter::LossFree(router) = &router.expect("a sparse layer").router else {
            panic!("the router that was asked for");
        };
        router.bias.to_data()
    };
    let before = bias(&model);
    assert_ne!(bias(&model.advance_routers(&loads)), before);
}
