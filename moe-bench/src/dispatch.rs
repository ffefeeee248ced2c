//! The parts of a layer of experts apart: sorting assignments, gathering tokens, the grouped products,
//! and scattering rows; beside them the fused operation, which does all of it but the sort at once.

use crate::contest::{Contest, Contestant};
use crate::layer_table::activation_name;
use crate::pass::Pass;
use crate::table::{columns, milliseconds};
use crate::timing::Timing;
use crate::workloads::Workload;
use burn::tensor::{Device, Distribution, IndexingUpdateOp, Int, Tensor, TensorData};
use moe_experts::{Activation, Experts, RowPlan, grouped_matmul, moe_ffn};
use moe_router::{Assignments, Plan, Router};
use serde::Serialize;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

/// The times of the parts of one workload.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DispatchBench {
    /// The device.
    pub device: String,
    /// The workload.
    pub workload: Workload,
    /// The experts' activation.
    pub activation: Activation,
    /// The number of assignments that experts compute.
    pub n_rows: usize,
    /// The parts, then the whole.
    pub rows: Vec<PartSpeed>,
}

/// Speed of a part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartSpeed {
    /// The part.
    pub part: Part,
    /// Seconds a call.
    pub time: Timing,
    /// GFLOP a second, of what multiplies.
    pub gflop_per_s: Option<f64>,
    /// GB a second read and written, of what moves rows.
    pub gb_per_s: Option<f64>,
}

/// A part of the work of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The plan of rows from the assignments, on the host.
    Sort,
    /// Tokens to rows, by Burn's `select`.
    Gather,
    /// The grouped product with one stack from the width of tokens.
    ProductIn,
    /// The grouped product back to it.
    ProductOut,
    /// Weighted rows added up by token, by Burn's `select_assign`.
    Scatter,
    /// The fused operation: gather, products, activation, weighted sum.
    Fused,
    /// The grouped product from the width of tokens, with its gradients.
    ProductInBackward,
    /// The fused operation with its gradients.
    FusedBackward,
}

impl Part {
    /// All parts, then the whole; forward first.
    pub const ALL: [Self; 8] = [
        Self::Sort,
        Self::Gather,
        Self::ProductIn,
        Self::ProductOut,
        Self::Scatter,
        Self::Fused,
        Self::ProductInBackward,
        Self::FusedBackward,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sort => "sort",
            Self::Gather => "gather",
            Self::ProductIn => "product in",
            Self::ProductOut => "product out",
            Self::Scatter => "scatter",
            Self::Fused => "fused",
            Self::ProductInBackward => "product in, forward+backward",
            Self::FusedBackward => "fused, forward+backward",
        }
    }

    fn pass(self) -> Pass {
        match self {
            Self::ProductInBackward | Self::FusedBackward => Pass::ForwardBackward,
            _ => Pass::Forward,
        }
    }

    /// Number of the expert's matrices that it multiplies with.
    fn n_products(self, activation: Activation) -> usize {
        match self {
            Self::ProductIn | Self::ProductOut | Self::ProductInBackward => 1,
            Self::Fused | Self::FusedBackward => activation.n_stacks(),
            Self::Sort | Self::Gather | Self::Scatter => 0,
        }
    }

    fn moves_rows(self) -> bool {
        matches!(self, Self::Gather | Self::Scatter)
    }
}

/// Operands of the parts, on one device with or without gradients.
struct Scene {
    experts: Experts,
    assignments: Arc<Assignments>,
    plan: Arc<RowPlan>,
    n_tokens: usize,
    n_experts: usize,
    weights_n: Tensor<1>,
    x_td: Tensor<2>,
    rows_nd: Tensor<2>,
    hidden_nf: Tensor<2>,
    tokens_n: Tensor<1, Int>,
}

impl Scene {
    fn new(workload: &Workload, activation: Activation, device: &Device) -> Self {
        let layer = workload.init(activation, device);
        let input = workload.inputs(device).swap_remove(0);
        let routing = layer.router.route(input.clone());
        let Plan::Sparse(sparse) = routing.plan else {
            unreachable!("the workloads' routers choose experts")
        };
        let plan = plan_of(&sparse.assignments, workload.n_tokens, workload.n_experts);
        let ids: Vec<i64> = plan.rows_token().iter().map(|&t| i64::from(t)).collect();
        let n_rows = ids.len();
        let tokens_n = Tensor::from_data(TensorData::new(ids, [n_rows]), device);
        let hidden = [n_rows, workload.d_expert];
        Self {
            experts: layer.experts,
            assignments: sparse.assignments.clone(),
            plan: Arc::new(plan),
            n_tokens: workload.n_tokens,
            n_experts: workload.n_experts,
            weights_n: sparse.weights.detach(),
            rows_nd: input.x_td.clone().select(0, tokens_n.clone()),
            x_td: input.x_td,
            hidden_nf: Tensor::random(hidden, Distribution::Default, device),
            tokens_n,
        }
    }

    /// A part as work to time, on the device that the scene is on.
    fn work(self, part: Part, activation: Activation) -> Box<dyn FnMut()> {
        let device = self.x_td.device();
        match part {
            Part::Sort => Box::new(move || {
                let plan = plan_of(&self.assignments, self.n_tokens, self.n_experts);
                std::hint::black_box(&plan);
            }),
            Part::Gather => waited(device, move || {
                self.x_td.clone().select(0, self.tokens_n.clone())
            }),
            Part::ProductIn => waited(device, move || self.product_in(self.rows_nd.clone())),
            Part::ProductOut => waited(device, move || {
                let down = self.experts.down.val();
                grouped_matmul(self.hidden_nf.clone(), down, self.plan.ends())
            }),
            Part::Scatter => waited(device, move || self.scatter()),
            Part::Fused => waited(device, move || self.fused(self.x_td.clone(), activation)),
            Part::ProductInBackward => waited(device, move || {
                let rows_nd = self.rows_nd.clone().detach().require_grad();
                self.product_in(rows_nd).sum().backward()
            }),
            Part::FusedBackward => waited(device, move || {
                let x_td = self.x_td.clone().require_grad();
                self.fused(x_td, activation).sum().backward()
            }),
        }
    }

    fn product_in(&self, rows_nd: Tensor<2>) -> Tensor<2> {
        grouped_matmul(rows_nd, self.experts.up.val(), self.plan.ends())
    }

    fn scatter(&self) -> Tensor<2> {
        let tokens_n = self.tokens_n.clone();
        let rows_nd = self.rows_nd.clone();
        let out_td = self.x_td.zeros_like();
        out_td.select_assign(0, tokens_n, rows_nd, IndexingUpdateOp::Add)
    }

    fn fused(&self, x_td: Tensor<2>, activation: Activation) -> Tensor<2> {
        let (stacks, weights_n) = (self.experts.weights(), self.weights_n.clone());
        moe_ffn(x_td, stacks, weights_n, self.plan.clone(), activation)
    }
}

fn plan_of(assignments: &Assignments, n_tokens: usize, n_experts: usize) -> RowPlan {
    let (tokens, experts) = (assignments.tokens(), assignments.experts());
    RowPlan::new(tokens, experts, assignments.kept(), n_tokens, n_experts)
}

/// Work that is waited for; what it returns is dropped in it.
fn waited<T>(device: Device, work: impl Fn() -> T + 'static) -> Box<dyn FnMut()> {
    Box::new(move || {
        let result = work();
        device.sync().expect("the device works");
        drop(result);
    })
}

/// A part of a workload as work to time.
pub fn part_work(
    part: Part,
    workload: &Workload,
    activation: Activation,
    device: &Device,
) -> Box<dyn FnMut()> {
    let device = part.pass().device(device);
    Scene::new(workload, activation, &device).work(part, activation)
}

/// Times the parts of a workload, alternating.
///
/// # Panics
///
/// Panics if the contest has no rounds.
pub fn bench(
    workload: &Workload,
    activation: Activation,
    contest: &Contest,
    device_name: &str,
    device: &Device,
) -> DispatchBench {
    let n_rows = Scene::new(workload, activation, device).plan.n_rows();
    let contestant = |part: Part| Contestant::of(part_work(part, workload, activation, device));
    let mut contestants: Vec<Contestant<'_, Infallible>> =
        Part::ALL.into_iter().map(contestant).collect();
    let Ok(samples) = contest.run(&mut contestants);
    let rows = Part::ALL.into_iter().zip(&samples).map(|(part, samples)| {
        let time = samples.timing();
        let products = part.n_products(activation) * n_rows;
        let forward = 2 * (products * workload.d_model * workload.d_expert) as u64;
        let per_s = |amount: f64| amount / time.median_s / 1e9;
        let bytes = 2 * n_rows * workload.d_model * size_of::<f32>();
        PartSpeed {
            part,
            time,
            gflop_per_s: (forward > 0).then(|| per_s(part.pass().flops(forward) as f64)),
            gb_per_s: part.moves_rows().then(|| per_s(bytes as f64)),
        }
    });
    DispatchBench {
        device: device_name.to_owned(),
        workload: workload.clone(),
        activation,
        n_rows,
        rows: rows.collect(),
    }
}

impl fmt::Display for DispatchBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let activation = activation_name(self.activation);
        writeln!(f, "{}\n{activation}, on {}", self.workload, self.device)?;
        let names = ["part", "ms", "fastest", "slowest", "GFLOP/s", "GB/s"];
        let mut rows = vec![names.map(str::to_owned).to_vec()];
        let rate = |rate: Option<f64>| rate.map_or(String::new(), |rate| format!("{rate:.1}"));
        rows.extend(self.rows.iter().map(|row| {
            vec![
                row.part.name().to_owned(),
                milliseconds(row.time.median_s),
                milliseconds(row.time.min_s),
                milliseconds(row.time.max_s),
                rate(row.gflop_per_s),
                rate(row.gb_per_s),
            ]
        }));
        write!(f, "{}", columns(&rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::WorkloadGroup;

    #[test]
    fn every_part_is_timed_and_the_parts_make_the_whole() {
        let group = WorkloadGroup::of("F8").expect("a workload");
        let mut small = group.workloads[0].clone();
        small.n_tokens = 16;
        let device = Device::flex();
        let contest = Contest {
            warmup: 0,
            rounds: 1,
        };
        let bench = bench(&small, Activation::Relu, &contest, "flex", &device);
        // every token goes to all 8 experts
        assert_eq!((bench.n_rows, bench.rows.len()), (128, 8));
        let has_rate = |row: &PartSpeed| row.gflop_per_s.or(row.gb_per_s).is_some();
        let without: Vec<Part> = bench
            .rows
            .iter()
            .filter(|r| !has_rate(r))
            .map(|r| r.part)
            .collect();
        assert_eq!(without, [Part::Sort]);
        assert!(bench.to_string().contains("\nproduct out "), "{bench}");

        // without weights, the scatter of products of gathered rows is the fused operation
        let mut scene = Scene::new(&small, Activation::Relu, &device);
        scene.weights_n = scene.weights_n.ones_like();
        let hidden = scene.product_in(scene.rows_nd.clone());
        let hidden = burn::tensor::activation::relu(hidden);
        let down = scene.experts.down.val();
        scene.rows_nd = grouped_matmul(hidden, down, scene.plan.ends());
        let fused = scene.fused(scene.x_td.clone(), Activation::Relu);
        let tolerance = burn::tensor::Tolerance::absolute(1e-5);
        let parts = scene.scatter().into_data();
        parts.assert_approx_eq::<f32>(&fused.into_data(), tolerance);
    }
}
