//! Routing by every router of the list, in evaluation and in training, and what to compare it with: the
//! forward pass of the layer B over half as many tokens, in which routing is to be a tenth at most.
//!
//! `cargo bench --workspace --bench router`; the sizes are those of [`moe_bench::routing`].

use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use moe_bench::routing::{ACTIVATIONS, Mode, N_TOKENS, layer_work, router_work};
use moe_bench::timing::warmed;
use moe_router::RouterConfig;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn route(criterion: &mut Criterion) {
    let device = Device::flex();
    for mode in Mode::ALL {
        let mut group = criterion.benchmark_group(format!("route in {}", mode.name()));
        group.throughput(Throughput::Elements(N_TOKENS as u64));
        for name in RouterConfig::NAMES {
            group.bench_function(*name, |bencher| {
                bencher.iter(warmed(router_work(name, mode, &device)));
            });
        }
        group.finish();
    }
}

fn layer(criterion: &mut Criterion) {
    let device = Device::flex();
    for activation in ACTIVATIONS {
        let name = format!("layer forward, {activation:?}, 2,048 tokens");
        criterion.bench_function(&name, |bencher| {
            bencher.iter(warmed(layer_work(activation, &device)));
        });
    }
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
