//! AdamW, and which parameters decay (Loshchilov & Hutter 2017, arXiv 1711.05101).

use super::adamw::{AdamW, Settings};
use crate::config::TrainConfig;
use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::ModuleOptimizer;
use burn::tensor::Tensor;

/// The last parts of the paths of parameters that decay: the matrices of linear maps, embeddings and tables,
/// and the stacks of matrices of experts.
const DECAYING: [&str; 5] = ["weight", "gate", "up", "down", "noise"];

/// The module that holds the biases of a stack of experts, under the names of its matrices.
const BIASES: &str = "biases";

/// AdamW with weight decay on the matrices of a model alone.
///
/// A parameter decays by what it is and not by its number of axes: the biases of a bank of experts are a
/// matrix, and a class token has three axes. Vectors that are learned as such, norms, biases, scales,
/// thresholds, positions, class tokens and probes, have no decay, and neither have the slots of Soft-MoE,
/// whose length is divided out. The published configurations of V-MoE and Soft-MoE do the same by
/// `('.*/kernel', 0.1)` (google-research/vmoe).
pub fn adamw<M: Module>(module: &M, config: &TrainConfig) -> ModuleOptimizer {
    let adamw = |decay: f64| {
        AdamW::new(Settings {
            beta_1: config.beta_1 as f32,
            beta_2: config.beta_2 as f32,
            epsilon: 1e-8,
            weight_decay: decay as f32,
        })
    };
    let mut still = WithoutDecay::default();
    module.visit(&mut still);
    let all = ModuleOptimizer::from(adamw(config.weight_decay));
    all.with_group(ParamGroup::from_ids(still.ids), adamw(0.0), None)
}

/// Collects the parameters that do not decay.
#[derive(Default)]
struct WithoutDecay {
    ids: Vec<ParamId>,
    path: Vec<String>,
}

impl WithoutDecay {
    fn decays(&self) -> bool {
        let name = self.path.last().map_or("", String::as_str);
        DECAYING.contains(&name) && !self.path.iter().any(|module| module == BIASES)
    }
}

impl ModuleVisitor for WithoutDecay {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.decays() {
            self.ids.push(param.id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{ModelConfig, RunConfig};
    use burn::module::ModuleMapper;
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Shape};
    use moe_router::{RouterConfig, to_vec};
    use std::collections::BTreeSet;

    /// All that a model can have, small.
    const GQA: [&str; 1] = ["attention.n_kv_heads=1"];
    const DEEPSEEK: [&str; 3] = [
        "model.d_dense=8",
        "model.n_mtp_layers=1",
        "model.n_layers=2",
    ];
    const DEEPSEEK_GQA: [&str; 4] = [
        "model.d_dense=8",
        "model.n_mtp_layers=1",
        "model.n_layers=2",
        "attention.n_kv_heads=1",
    ];
    const VISION: [&str; 6] = [
        "model.d_mlp=8",
        "model.moe_layers=[1]",
        "model.d_pre_logits=4",
        "model.positions=learned",
        "attention.qk_norm=true",
        "model.n_layers=2",
    ];
    const PAIRS: [&str; 3] = [
        "model.d_dense=8",
        "model.n_decoder_layers=2",
        "model.tied_embeddings=false",
    ];

    /// Every family with a router, vision transformers with each way to make one vector of an image.
    fn models(router: &str) -> Vec<RunConfig> {
        let sizes = [
            "model.d_model=8",
            "model.n_layers=2",
            "attention.n_heads=2",
            "experts.n_experts=16",
            "experts.d_expert=2",
            "train.weight_decay=0.5",
        ];
        let mut all = Vec::new();
        for family in ModelConfig::NAMES {
            let (more, kinds): (&[&str], &[&str]) = match *family {
                // has no router
                "llama" => continue,
                "switch" => (&PAIRS, &["model.allow_leak=true"]),
                "vmoe" | "soft_moe" => (
                    &VISION,
                    &["model.pooling=attention", "model.pooling=class_token"],
                ),
                "deepseek_moe" => (&DEEPSEEK_GQA, &["model.allow_leak=true"]),
                "deepseek_v2" | "deepseek_v3" => (&DEEPSEEK, &["model.allow_leak=true"]),
                _ => (&GQA, &["model.allow_leak=true"]),
            };
            for kind in kinds {
                let names = [
                    format!("model.family={family}"),
                    format!("router.name={router}"),
                ];
                let mut overrides: Vec<&str> = names.iter().map(String::as_str).collect();
                overrides.extend(sizes);
                overrides.extend(more);
                overrides.push(kind);
                if router == "composed" {
                    overrides.push("router.bias=sign");
                }
                all.push(RunConfig::of_overrides(&overrides).unwrap());
            }
        }
        all
    }

    /// Puts ones in all parameters.
    struct Ones;

    impl ModuleMapper for Ones {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| {
                tensor
                    .ones_like()
                    .set_require_grad(tensor.is_require_grad())
            })
        }
    }

    /// A gradient of zero for each parameter: decay alone moves them.
    struct Zeros(GradientsParams);

    impl ModuleVisitor for Zeros {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            let (shape, device): (Shape, _) = (tensor.shape(), tensor.device().without_autodiff());
            self.0
                .register(param.id, Tensor::<D>::zeros(shape, &device));
        }
    }

    /// Parameters by the ends of their paths: those that have moved, and those that have not.
    #[derive(Default)]
    struct Sides {
        path: Vec<String>,
        decayed: BTreeSet<String>,
        still: BTreeSet<String>,
    }

    impl ModuleVisitor for Sides {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let n = self.path.len();
            let role = match self.path[n.saturating_sub(2)..].join(".") {
                role if role.starts_with(BIASES) => role,
                _ => self.path[n - 1].clone(),
            };
            let values = to_vec(param.val().detach());
            // w -= lr * 0.5 * w
            if values.iter().all(|w| (w - 0.95).abs() < 1e-6) {
                self.decayed.insert(role);
            } else {
                assert!(values.iter().all(|&w| w == 1.0), "{role}: {values:?}");
                self.still.insert(role);
            }
        }
    }

    /// A new kind of parameter belongs on one of these lists, and in `DECAYING` if it is a matrix.
    #[test]
    fn every_parameter_of_every_model_decays_or_does_not_by_what_it_is() {
        let device = Device::flex().autodiff();
        let mut sides = Sides::default();
        for router in RouterConfig::NAMES {
            for config in models(router) {
                let model = config.init_model(&device).map(&mut Ones);
                let mut zeros = Zeros(GradientsParams::new());
                model.visit(&mut zeros);
                let mut optimizer = adamw(&model, &config.train);
                let model = optimizer.step(0.1, model, zeros.0);
                model.visit(&mut sides);
            }
        }
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let decayed: BTreeSet<String> = set(&DECAYING);
        let still: BTreeSet<String> = set(&[
            "beta",
            "bias",
            "biases.down",
            "biases.up",
            "class_token",
            "gamma",
            "lambda",
            "log_temperature",
            "phi",
            "positions",
            "predictor_bias",
            "probe",
            "scale",
            "threshold",
            "values",
        ]);
        assert_eq!(sides.decayed, decayed);
        assert_eq!(sides.still, still);
    }
}
