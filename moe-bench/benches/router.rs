//! Routing 4,096 tokens of width 512, 16 sequences, over 64 experts, 8 of them a token where the router
//! can be told so, by every router of the list, in evaluation and in training; and what to compare it
//! with: the forward pass of a layer of such experts of width 256 over half as many tokens, in which
//! routing is to be a tenth at most.
//!
//! `cargo bench --workspace --bench router`

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use moe_experts::{Activation, Dispatch, Exchange, MoeLayerConfig};
use moe_router::{MixtralConfig, Preset, Router, RouterConfig, RouterInput, RouterShape};
use std::sync::Arc;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_TOKENS: usize = 4096;
const N_SEQUENCES: usize = 16;
const TOP_K: usize = 8;
const D_EXPERT: usize = 256;
const SHAPE: RouterShape = RouterShape {
    d_model: 512,
    n_experts: 64,
    layer: 0,
};

/// Random tokens, `n_sequences` of equal length.
fn input(n_tokens: usize, n_sequences: usize, device: &Device) -> RouterInput {
    device.seed(0);
    let shape = [n_tokens, SHAPE.d_model];
    let x_td = Tensor::random(shape, Distribution::Normal(0.0, 1.0), device);
    let ids: Arc<[u32]> = (0..n_tokens as u32).map(|t| t % 1000).collect();
    RouterInput::new(x_td).groups(n_sequences).token_ids(ids)
}

/// A router's defaults, with `TOP_K` experts a token if it has that key.
fn config(name: &str) -> RouterConfig {
    let config = RouterConfig::from_name(name).expect("a listed name has a default");
    let mut json = serde_json::to_value(config).expect("a configuration is JSON");
    if let Some(top_k) = json.get_mut("top_k") {
        *top_k = TOP_K.into();
    }
    serde_json::from_value(json).expect("8 experts a token fit")
}

fn route(criterion: &mut Criterion) {
    let device = Device::flex();
    let input = input(N_TOKENS, N_SEQUENCES, &device);
    for (mode, noise) in [("evaluation", None), ("training", Some(0))] {
        let mut group = criterion.benchmark_group(format!("route in {mode}"));
        group.throughput(Throughput::Elements(N_TOKENS as u64));
        for name in RouterConfig::NAMES {
            let router = config(name).init(&SHAPE, &device);
            let input = input.clone().noise(noise);
            group.bench_function(*name, |bencher| {
                bencher.iter(|| {
                    let routing = router.route(input.clone());
                    device.sync().expect("the device works");
                    routing
                });
            });
        }
        group.finish();
    }
}

fn layer(criterion: &mut Criterion) {
    let device = Device::flex();
    let input = input(N_TOKENS / 2, N_SEQUENCES / 2, &device);
    let router = MixtralConfig { top_k: TOP_K }.init(&SHAPE, &device);
    let config = MoeLayerConfig {
        d_model: SHAPE.d_model,
        n_experts: SHAPE.n_experts,
        d_expert: D_EXPERT,
        n_shared_experts: 0,
        activation: Activation::SwiGlu,
        bias: false,
        dispatch: Dispatch::Grouped,
        exchange: Exchange::Exact,
    };
    let layer = config.init(router, &device);
    criterion.bench_function("layer forward, 2,048 tokens", |bencher| {
        bencher.iter(|| {
            let output = layer.forward(input.clone());
            device.sync().expect("the device works");
            output
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = layer, route
}
criterion_main!(benches);
