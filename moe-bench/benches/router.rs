//! Routing 4,096 tokens of width 256, 16 sequences, over 64 experts, by every router of the list with
//! its defaults: the forward pass, in evaluation.
//!
//! `cargo bench --workspace --bench router`

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use moe_router::{Router, RouterConfig, RouterInput, RouterShape};
use std::sync::Arc;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_TOKENS: usize = 4096;
const SHAPE: RouterShape = RouterShape {
    d_model: 256,
    n_experts: 64,
    layer: 0,
};

fn route(criterion: &mut Criterion) {
    let device = Device::flex();
    device.seed(0);
    let shape = [N_TOKENS, SHAPE.d_model];
    let x_td = Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let ids: Arc<[u32]> = (0..N_TOKENS as u32).map(|t| t % 1000).collect();
    let input = RouterInput::new(x_td).groups(16).token_ids(ids);

    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(N_TOKENS as u64));
    for name in RouterConfig::NAMES {
        let config = RouterConfig::from_name(name).expect("a listed name has a default");
        let router = config.init(&SHAPE, &device);
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

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = route
}
criterion_main!(benches);
