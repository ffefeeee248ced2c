//! Grouped-query attention over 8 sequences of 256 tokens: 8 query heads and 4 key/value heads of
//! width 32, projections and rotary positions included; and decoding with grouped-query and latent
//! attention of the sizes of `moe bench attention`.
//!
//! `cargo bench --workspace --bench attention`

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use moe_attention::{GroupedQueryAttention, GroupedQueryAttentionConfig, KvCache};
use moe_bench::attention::{DecodeLayers, gqa_cache, latent_cache, token};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 8;
const LENGTH: usize = 256;
const D_MODEL: usize = 256; // 8 heads of 32

fn attention(device: &Device) -> GroupedQueryAttention {
    GroupedQueryAttentionConfig::new(D_MODEL, 8, 4).init(device)
}

fn sequences(device: &Device) -> Tensor<3> {
    device.seed(0);
    let shape = [BATCH, LENGTH, D_MODEL];
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn passes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention");
    group.throughput(Throughput::Elements((BATCH * LENGTH) as u64));

    let device = Device::flex();
    let (x, layer) = (sequences(&device), attention(&device));
    group.bench_function("forward", |bencher| {
        bencher.iter(|| {
            let output = layer.forward(x.clone());
            device.sync().expect("the device works");
            output
        });
    });

    let device = device.autodiff();
    let (x, layer) = (sequences(&device).require_grad(), attention(&device));
    group.bench_function("forward and backward", |bencher| {
        bencher.iter(|| {
            let grads = layer.forward(x.clone()).square().sum().backward();
            device.sync().expect("the device works");
            grads
        });
    });
    group.finish();
}

/// A token after a cache of each length, filled anew and with room for it.
fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let device = Device::flex();
    let (layers, token) = (DecodeLayers::new(&device), token(&device));
    type Pass = fn(&DecodeLayers, Tensor<3>, &mut KvCache) -> Tensor<3>;
    type Fill = fn(usize, &Device) -> KvCache;
    let variants: [(&str, Fill, Pass); 3] = [
        ("gqa", gqa_cache, DecodeLayers::gqa),
        ("mla materialised", latent_cache, DecodeLayers::materialised),
        ("mla absorbed", latent_cache, DecodeLayers::absorbed),
    ];
    for context in [128, 1024, 8192] {
        for (name, fill, pass) in variants {
            let ready = || {
                let mut cache = fill(context - 2, &device);
                pass(&layers, token.clone(), &mut cache);
                cache
            };
            group.bench_function(BenchmarkId::new(name, context), |bencher| {
                let decode = |cache: &mut KvCache| {
                    let output = pass(&layers, token.clone(), cache);
                    device.sync().expect("the device works");
                    output
                };
                bencher.iter_batched_ref(ready, decode, BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    targets = passes, decoding
}
criterion_main!(benches);
