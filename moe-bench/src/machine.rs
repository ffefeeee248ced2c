//! Limits of the machine, beside which a speed is stated.

use crate::timing::Timing;
use burn::tensor::{Device, Distribution, Tensor};
use rayon::prelude::*;
use serde::Serialize;

/// The measured limits of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Machine {
    /// GFLOP a second of the best large f32 matrix product on the device.
    pub gemm_gflop_per_s: f64,
    /// GB a second that all threads of the processor read from memory together.
    pub read_gb_per_s: f64,
    /// The number of threads.
    pub threads: usize,
}

impl Machine {
    /// Measures the limits; takes a few seconds.
    pub fn measure(device: &Device) -> Self {
        Self {
            gemm_gflop_per_s: gemm_gflop_per_s(device),
            read_gb_per_s: read_gb_per_s(),
            threads: rayon::current_num_threads(),
        }
    }
}

/// The best of 9 products of each of three large shapes.
fn gemm_gflop_per_s(device: &Device) -> f64 {
    let shapes = [[1024, 1024, 1024], [2048, 2048, 2048], [512, 1024, 4096]];
    let best = |[m, k, n]: [usize; 3]| {
        let a = Tensor::<2>::random([m, k], Distribution::Default, device);
        let b = Tensor::<2>::random([k, n], Distribution::Default, device);
        let time = Timing::measure(2, 9, || {
            let c = a.clone().matmul(b.clone());
            // reading one value waits for the device
            let _ = c.slice([0..1, 0..1]).into_data();
        });
        2.0 * (m * k * n) as f64 / time.min_s / 1e9
    };
    shapes.into_iter().map(best).fold(0.0, f64::max)
}

/// The median of 9 passes over memory far larger than the caches.
fn read_gb_per_s() -> f64 {
    let pass = ReadPass::new();
    let time = Timing::measure(1, 9, || pass.run());
    pass.bytes() as f64 / time.median_s / 1e9
}

/// Memory far larger than the caches, to be read by all threads from front to back.
#[derive(Debug)]
pub struct ReadPass {
    values: Vec<f32>,
}

impl Default for ReadPass {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadPass {
    /// Takes 512 MiB.
    pub fn new() -> Self {
        const FLOATS: usize = 1 << 27;
        Self {
            values: vec![1.0; FLOATS],
        }
    }

    /// The bytes that are read.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.values[..])
    }

    /// Reads them once.
    pub fn run(&self) {
        let part = self.values.len() / rayon::current_num_threads();
        let total: f32 = self.values.par_chunks(part).map(sum).sum();
        std::hint::black_box(total);
    }
}

fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0; 64];
    for chunk in values.chunks_exact(64) {
        lanes.iter_mut().zip(chunk).for_each(|(l, v)| *l += v);
    }
    lanes.iter().sum()
}
