//! The parts of a layer of experts apart, on the workloads A to E of [`moe_bench::workloads`].
//!
//! `cargo bench --workspace --bench dispatch -- B`; `moe bench dispatch` prints rates beside the times.

use burn::tensor::Device;
use criterion::{Criterion, criterion_group, criterion_main};
use moe_bench::dispatch::{Part, part_work};
use moe_bench::workloads::WorkloadGroup;
use moe_experts::Activation;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn parts(criterion: &mut Criterion) {
    let device = Device::flex();
    for group in WorkloadGroup::all() {
        let [workload] = &group.workloads[..] else {
            continue; // B with other numbers of experts
        };
        for activation in [Activation::Gelu, Activation::SwiGlu] {
            let mut group = criterion.benchmark_group(format!("{} {activation:?}", workload.name));
            for part in Part::ALL {
                group.bench_function(part.name(), |bencher| {
                    bencher.iter(part_work(part, workload, activation, &device));
                });
            }
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = parts
}
criterion_main!(benches);
