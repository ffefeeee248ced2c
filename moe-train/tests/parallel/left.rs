//! What a run leaves.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::OptimizerRecord;
use burn::tensor::{Device, Tensor};
use moe_parallel::Mesh;
use moe_router::to_vec;
use moe_train::config::{ModelConfig, RunConfig};
use moe_train::run::{StepMetrics, Trainer};
use moe_train::task::TaskData;

/// Sizes of all families, four micro-batches a step.
const SIZES: [&str; 8] = [
    "model.d_model=16",
    "attention.n_heads=2",
    "experts.n_experts=8",
    "experts.d_expert=8",
    "train.batch_size=2",
    "train.accumulate=4",
    "train.warmup_steps=1",
    "train.clip_norm=0.1",
];

/// A small configuration of a family with a router.
pub fn config(family: &str, router: &str, more: &[&str]) -> RunConfig {
    let names = [
        format!("model.family={family}"),
        format!("router.name={router}"),
    ];
    let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
    all.extend(SIZES);
    let info = ModelConfig::from_name(family).unwrap().info();
    if info.attention[0] == "gqa" {
        all.push("attention.n_kv_heads=1");
    }
    match family {
        "vmoe" | "soft_moe" => all.extend(["model.n_layers=2", "model.moe_layers=[1]"]),
        "switch" => all.extend([
            "model.n_layers=2",
            "model.n_decoder_layers=2",
            "model.allow_leak=true",
        ]),
        _ => all.extend([
            "model.n_layers=2",
            "train.seq_length=16",
            "model.allow_leak=true",
        ]),
    }
    if router == "composed" {
        all.push("router.bias=sign");
    }
    all.extend(more);
    RunConfig::of_overrides(&all).unwrap()
}

/// All that a run leaves, as bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    pub steps: Vec<String>,
    pub weights: Vec<(String, Vec<u32>)>,
    moments: Vec<(String, Vec<u32>)>,
}

/// The first difference, in words.
pub fn difference(a: &Left, b: &Left) -> Option<String> {
    let step = a.steps.iter().zip(&b.steps).position(|(a, b)| a != b);
    if let Some(step) = step {
        return Some(format!(
            "step {}:\n{}\n{}",
            step + 1,
            a.steps[step],
            b.steps[step]
        ));
    }
    let weights = a.weights.iter().zip(&b.weights).find(|(a, b)| a != b);
    if let Some(((name, a), (_, b))) = weights {
        let n = a.iter().zip(b).filter(|(a, b)| a != b).count();
        return Some(format!("{n} of {} weights of {name}", a.len()));
    }
    (a.moments != b.moments).then(|| "moments".to_owned())
}

#[derive(Default)]
struct Weights {
    path: Vec<String>,
    all: Vec<(String, Vec<u32>)>,
}

impl ModuleVisitor for Weights {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = to_vec(param.val().detach());
        let bits = values.into_iter().map(f32::to_bits).collect();
        self.all.push((self.path.join("."), bits));
    }
}

/// The tensors of moments without the names that each process draws for its parameters. The two zeros are one: a
/// sender without rows gives an expert's gradient no zeros to add, which would turn -0 to 0.
fn moments(record: OptimizerRecord) -> Vec<(String, Vec<u32>)> {
    let reader = burn_pack::Reader::from_bytes(record.into_bytes().unwrap()).unwrap();
    let tensors = reader.into_tensors().unwrap().into_iter().map(|tensor| {
        let (name, _, _, _, bytes) = tensor.into_parts().unwrap();
        let field = name.split_once('.').unwrap().1.to_owned();
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        (
            field,
            values.into_iter().map(|x| (x + 0.0).to_bits()).collect(),
        )
    });
    let mut all: Vec<_> = tensors.collect();
    all.sort();
    all
}

pub fn left(config: &RunConfig, data: &TaskData, n_steps: usize, mesh: Mesh) -> Left {
    left_after(config, data, n_steps, mesh, || ())
}

/// The same, with something between the last step and the gathering of shares.
pub fn left_after(
    config: &RunConfig,
    data: &TaskData,
    n_steps: usize,
    mesh: Mesh,
    after_steps: impl FnOnce(),
) -> Left {
    let mut trainer = Trainer::shared(config, &Device::flex(), mesh);
    let mut batches = data.batches(config.seed, 0, config.train.batch_size);
    let step = |_| {
        let metrics = trainer.step(&mut batches).unwrap();
        let metrics = StepMetrics {
            tokens_per_s: 0.0,
            ..metrics
        };
        serde_json::to_string(&metrics).unwrap()
    };
    let steps = (0..n_steps).map(step).collect();
    after_steps();
    let mut weights = Weights::default();
    trainer.whole_model().visit(&mut weights);
    Left {
        steps,
        weights: weights.all,
        moments: moments(trainer.whole_moments().unwrap()),
    }
}
