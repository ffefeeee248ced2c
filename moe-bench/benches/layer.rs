//! The workloads of [`moe_bench::workloads`] as layers of experts, each beside the dense layer of equal
//! active FLOP by the experts' own operation: what routing, dispatch and combine cost.
//!
//! `cargo bench --workspace --bench layer -- B`; `moe bench layer` compares more, in alternation.

use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use moe_bench::pass::Pass;
use moe_bench::timing::warmed;
use moe_bench::workloads::{Workload, WorkloadGroup};
use moe_experts::{Activation, Dispatch};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn layers(criterion: &mut Criterion) {
    for group in WorkloadGroup::all() {
        for workload in &group.workloads {
            for activation in [Activation::Gelu, Activation::SwiGlu] {
                for pass in [Pass::Forward, Pass::ForwardBackward] {
                    layer(criterion, workload, activation, pass);
                }
            }
        }
    }
}

fn layer(criterion: &mut Criterion, workload: &Workload, activation: Activation, pass: Pass) {
    let device = pass.device(&Device::flex());
    let mut group = criterion.benchmark_group(format!("{} {activation:?} {pass}", workload.name));
    group.throughput(Throughput::Elements(workload.n_tokens as u64));
    group.bench_function("experts", |bencher| {
        let layer = workload.init(activation, &device);
        let forward = |input| layer.forward_tokens(input).output;
        let work = pass.work(device.clone(), workload.inputs(&device), forward);
        bencher.iter(warmed(work));
    });
    group.bench_function("dense", |bencher| {
        let dense = workload.dense(activation).init(&device);
        let ends = [workload.n_tokens as u32];
        let forward = |input: moe_router::RouterInput| {
            dense.forward_rows(input.x_td, &ends, Dispatch::Grouped)
        };
        let work = pass.work(device.clone(), workload.inputs(&device), forward);
        bencher.iter(warmed(work));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = layers
}
criterion_main!(benches);
