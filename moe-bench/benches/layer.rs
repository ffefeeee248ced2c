//! A mixture of 8 experts, 2 of them a token, against one expert twice as wide, which costs the same
//! FLOP a token: what routing, dispatch and combine cost. 2,048 tokens of width 256.
//!
//! `cargo bench --workspace --bench layer`

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use moe_experts::{Activation, Dispatch, Exchange, MoeLayer, MoeLayerConfig};
use moe_router::{Mixtral, MixtralConfig, Preset, RouterInput, RouterShape};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_TOKENS: usize = 2048;
const D_MODEL: usize = 256;

/// A layer of `n_experts` experts, `top_k` a token.
struct Workload {
    name: &'static str,
    n_experts: usize,
    top_k: usize,
    d_expert: usize,
}

const WORKLOADS: [Workload; 2] = [
    Workload {
        name: "top 2 of 8 experts of 512",
        n_experts: 8,
        top_k: 2,
        d_expert: 512,
    },
    Workload {
        name: "one expert of 1024",
        n_experts: 1,
        top_k: 1,
        d_expert: 1024,
    },
];

impl Workload {
    fn layer(&self, device: &Device) -> MoeLayer<Mixtral> {
        let shape = RouterShape {
            d_model: D_MODEL,
            n_experts: self.n_experts,
            layer: 0,
        };
        let router = MixtralConfig { top_k: self.top_k }.init(&shape, device);
        let config = MoeLayerConfig {
            d_model: D_MODEL,
            n_experts: self.n_experts,
            d_expert: self.d_expert,
            n_shared_experts: 0,
            activation: Activation::SwiGlu,
            bias: false,
            dispatch: Dispatch::Grouped,
            exchange: Exchange::Exact,
        };
        config.init(router, device)
    }
}

fn tokens(device: &Device) -> Tensor<2> {
    device.seed(0);
    Tensor::random([N_TOKENS, D_MODEL], Distribution::Normal(0.0, 1.0), device)
}

fn forward(criterion: &mut Criterion) {
    let device = Device::flex();
    let mut group = criterion.benchmark_group("layer forward");
    group.throughput(Throughput::Elements(N_TOKENS as u64));
    for workload in &WORKLOADS {
        let x_td = tokens(&device);
        let layer = workload.layer(&device);
        group.bench_function(workload.name, |bencher| {
            bencher.iter(|| {
                let output = layer.forward(RouterInput::new(x_td.clone()));
                device.sync().expect("the device works");
                output
            });
        });
    }
    group.finish();
}

fn forward_and_backward(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let mut group = criterion.benchmark_group("layer forward and backward");
    group.throughput(Throughput::Elements(N_TOKENS as u64));
    for workload in &WORKLOADS {
        let x_td = tokens(&device).require_grad();
        let layer = workload.layer(&device);
        group.bench_function(workload.name, |bencher| {
            bencher.iter(|| {
                let output = layer.forward(RouterInput::new(x_td.clone())).output;
                let grads = output.square().sum().backward();
                device.sync().expect("the device works");
                grads
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    targets = forward, forward_and_backward
}
criterion_main!(benches);
