//! The workloads of layer benches: one list, which the command line and the criterion benches read.
//!
//! Axes: T tokens, D model width, E experts, K experts a token, F expert hidden width.

use burn::tensor::{Device, Distribution, Tensor};
use moe_experts::{Activation, ExpertsConfig, MoeLayer, MoeLayerConfig};
use moe_router::zoo::{MixtralRouterConfig, SwitchRouterConfig};
use moe_router::{AnyRouter, RouterConfig, RouterInput, RouterShape};
use serde::Serialize;

/// A mixture-of-experts layer and how many tokens it gets, without its activation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// The number of tokens of a call.
    pub n_tokens: usize,
    /// The width of the tokens.
    pub d_model: usize,
    /// The number of experts that tokens are routed to.
    pub n_experts: usize,
    /// The hidden width of an expert.
    pub d_expert: usize,
    /// The number of experts that a token asks for.
    pub top_k: usize,
    /// The number of experts that every token passes through besides.
    pub n_shared_experts: usize,
    /// The capacity of an expert relative to a balanced load; without it nothing is dropped.
    pub capacity_factor: Option<f64>,
}

/// Workloads that are compared with each other: their dense layer is the same.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadGroup {
    /// Its name.
    pub name: &'static str,
    /// Its workloads, the first the one that others are compared with.
    pub workloads: Vec<Workload>,
}

impl Workload {
    /// A dropless workload without shared experts.
    const fn new(name: &'static str, n_tokens: usize, d_model: usize) -> Self {
        Self {
            name,
            n_tokens,
            d_model,
            n_experts: 1,
            d_expert: 1,
            top_k: 1,
            n_shared_experts: 0,
            capacity_factor: None,
        }
    }

    const fn experts(mut self, n_experts: usize, d_expert: usize, top_k: usize) -> Self {
        self.n_experts = n_experts;
        self.d_expert = d_expert;
        self.top_k = top_k;
        self
    }

    const fn shared(mut self, n_shared_experts: usize) -> Self {
        self.n_shared_experts = n_shared_experts;
        self
    }

    const fn capacity(mut self, factor: f64) -> Self {
        self.capacity_factor = Some(factor);
        self
    }

    /// The layer around its router.
    pub fn layer(&self, activation: Activation) -> MoeLayerConfig {
        MoeLayerConfig::new(self.d_model, self.n_experts, self.d_expert)
            .with_n_shared_experts(self.n_shared_experts)
            .with_activation(activation)
    }

    /// Mixtral's router, or Switch's where there is a capacity.
    pub fn router(&self) -> RouterConfig {
        match self.capacity_factor {
            None => RouterConfig::Mixtral(MixtralRouterConfig { top_k: self.top_k }),
            Some(capacity_factor) => RouterConfig::Switch(SwitchRouterConfig {
                capacity_factor,
                ..Default::default()
            }),
        }
    }

    /// The layer with random weights.
    pub fn init(&self, activation: Activation, device: &Device) -> MoeLayer<AnyRouter> {
        device.seed(0);
        let shape = RouterShape {
            d_model: self.d_model,
            n_experts: self.n_experts,
            layer: 0,
        };
        let router = self.router().init(&shape, device);
        self.layer(activation).init_with(router, device)
    }

    /// The hidden width of the dense layer of equal active FLOP.
    pub fn d_dense(&self) -> usize {
        (self.top_k + self.n_shared_experts) * self.d_expert
    }

    /// The dense layer of equal active FLOP, as a bank of one expert.
    pub fn dense(&self, activation: Activation) -> ExpertsConfig {
        ExpertsConfig::new(self.d_model, 1, self.d_dense()).with_activation(activation)
    }

    /// FLOP of the matrix products of the experts, forward, if they compute `n_rows` assignments. The
    /// router's own are left out.
    pub fn flops(&self, activation: Activation, n_rows: usize) -> u64 {
        let shared_rows = self.n_tokens * self.n_shared_experts;
        (n_rows + shared_rows) as u64 * self.layer(activation).experts().flops_per_row()
    }

    /// Bytes of the weights that one token reads.
    pub fn active_bytes(&self, activation: Activation) -> usize {
        let n_params = self.layer(activation).n_params_active(self.top_k as f64);
        n_params * size_of::<f32>()
    }

    /// Random tokens for several calls. A single token is another in each call, so that its experts come
    /// from memory and not from a cache; more tokens visit all experts anyway.
    pub fn inputs(&self, device: &Device) -> Vec<RouterInput> {
        const SINGLE: usize = 32;
        device.seed(1);
        let n_calls = if self.n_tokens == 1 { SINGLE } else { 1 };
        let tokens = |_| {
            let shape = [self.n_tokens, self.d_model];
            RouterInput::new(Tensor::random(
                shape,
                Distribution::Normal(0.0, 1.0),
                device,
            ))
        };
        (0..n_calls).map(tokens).collect()
    }
}

impl WorkloadGroup {
    /// The names of all groups.
    pub const NAMES: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

    /// The group of a name, or one workload of a group by its own name, such as `F64`.
    pub fn of(name: &str) -> Option<Self> {
        let mut groups = Self::all().into_iter();
        groups.find_map(|group| {
            if group.name == name {
                return Some(group);
            }
            let workload = group.workloads.into_iter().find(|w| w.name == name)?;
            Some(Self::single(workload))
        })
    }

    /// All groups.
    pub fn all() -> Vec<Self> {
        let mut groups: Vec<Self> = SINGLES.iter().cloned().map(Self::single).collect();
        groups.push(Self {
            name: "F",
            workloads: SWEEP.to_vec(),
        });
        groups
    }

    fn single(workload: Workload) -> Self {
        Self {
            name: workload.name,
            workloads: vec![workload],
        }
    }
}

const SINGLES: [Workload; 5] = [
    Workload::new("A", 2048, 512).experts(8, 2048, 2),
    Workload::new("B", 2048, 512).experts(64, 256, 8),
    Workload::new("C", 4096, 256)
        .experts(8, 1024, 1)
        .capacity(1.25),
    Workload::new("D", 512, 1024).experts(64, 512, 8).shared(1),
    Workload::new("E", 1, 1024).experts(8, 3584, 2),
];

/// B with other numbers of experts, at the same FLOP a token.
const SWEEP: [Workload; 6] = [
    sweep("F8", 8),
    sweep("F16", 16),
    sweep("F32", 32),
    sweep("F64", 64),
    sweep("F128", 128),
    sweep("F256", 256),
];

const fn sweep(name: &'static str, n_experts: usize) -> Workload {
    Workload::new(name, 2048, 512).experts(n_experts, 256, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_group_and_sweeps_cost_the_same() {
        let groups = WorkloadGroup::all();
        let names: Vec<&str> = groups.iter().map(|group| group.name).collect();
        assert_eq!(names, WorkloadGroup::NAMES);
        for name in WorkloadGroup::NAMES {
            assert_eq!(WorkloadGroup::of(name).map(|g| g.name), Some(name));
        }
        let single = WorkloadGroup::of("F64").expect("a workload of F");
        assert_eq!(single.workloads, SWEEP[3..4]);
        assert!(WorkloadGroup::of("G").is_none());
        assert!(SWEEP.iter().all(|w| w.d_dense() == SWEEP[0].d_dense()));
    }

    #[test]
    fn flops_and_bytes_of_a_shared_expert() {
        let d = &SINGLES[3];
        // 8 routed + 1 shared of 512 beside 1,024: the dense layer is 4,608 wide
        assert_eq!(d.d_dense(), 4608);
        // (512 * 8 + 512) rows of 2 FLOP for each of 3 * 1,024 * 512 parameters
        let rows = 512 * 8;
        assert_eq!(d.flops(Activation::SwiGlu, rows), 4608 * 2 * 3 * 1024 * 512);
        assert_eq!(
            d.flops(Activation::SwiGlu, rows),
            512 * d.dense(Activation::SwiGlu).flops_per_row()
        );
        // 9 experts of two matrices, 4 bytes each
        assert_eq!(d.active_bytes(Activation::Gelu), 9 * 2 * 1024 * 512 * 4);
    }

    #[test]
    fn a_single_token_is_another_in_each_call() {
        let device = Device::flex();
        let e = &SINGLES[4];
        let inputs = e.inputs(&device);
        assert!(inputs.len() > 8);
        let first = inputs[0].x_td.clone().into_data();
        assert_ne!(first, inputs[1].x_td.clone().into_data());
        assert_eq!(first.shape().to_vec(), [1, 1024]);
    }
}
