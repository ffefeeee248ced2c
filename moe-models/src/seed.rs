//! Initialisation that depends on a seed and on each parameter's path alone.
//!
//! Burn draws parameters lazily from one generator per device, so the same seed gives other weights
//! when another parameter is touched first. Here each parameter has a generator of its own, seeded by
//! the run's seed and the parameter's path: the weights are the same on every device, and two models
//! that differ in their router alone start from the same embeddings, attention and experts, and from the
//! same gate where their routers have one of the same name.

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Tensor, TensorData};
use moe_router::parts::mix_seed;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Draws every weight matrix anew from `N(0, 1 / (3 fan_in))`, the variance of the layers' own uniform
/// distribution, and gives every parameter an id that depends on its path. The projections that write
/// to the residual stream are scaled by `1 / sqrt(2 n_layers)` (Radford et al. 2019, section 2.3).
/// Vectors, and matrices that their layer starts at a constant, keep their values.
///
/// The parameters of an [`AnyRouter`](moe_router::AnyRouter) are drawn as those of a variant `router`, whichever it
/// is: `gate` of one router starts where `gate` of another does. Any fixed name would do; another one draws anew.
pub fn seed_parameters<M: Module>(module: M, router: &str, seed: u64, n_layers: usize) -> M {
    module.map(&mut Seeder {
        seed,
        router: router.to_owned(),
        residual_scale: 1.0 / (2.0 * n_layers as f64).sqrt(),
        path: Vec::new(),
        drawn_as: Vec::new(),
    })
}

/// A number that depends on a parameter's path alone (FNV-1a, then mixed).
pub fn path_seed(path: &str) -> u64 {
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix_seed(hash, 0)
}

struct Seeder {
    seed: u64,
    router: String,
    residual_scale: f64,
    path: Vec<String>,
    /// The path with the variant of a router replaced.
    drawn_as: Vec<String>,
}

impl Seeder {
    /// The standard deviation of a weight `[.., fan_in, fan_out]`; an embedding's rows are looked up
    /// and not summed, so its fan-in is its width.
    fn std(&self, path: &str, shape: &[usize]) -> f64 {
        if path.starts_with("embedding") || path.starts_with("decoder_embedding") {
            return 1.0 / (shape[shape.len() - 1] as f64).sqrt();
        }
        // the positions of images start small, a probe is as long as a token
        if path == "positions" {
            return 0.02;
        }
        if path.ends_with(".probe") {
            return 1.0 / (shape[shape.len() - 1] as f64).sqrt();
        }
        let std = 1.0 / (3.0 * shape[shape.len() - 2] as f64).sqrt();
        if [".output.weight", ".o_proj.weight", ".down"]
            .iter()
            .any(|end| path.ends_with(end))
        {
            std * self.residual_scale
        } else {
            std
        }
    }
}

impl ModuleMapper for Seeder {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        let drawn_as = match container_type {
            "Enum:AnyRouter" => &self.router,
            _ => name,
        };
        self.drawn_as.push(drawn_as.to_owned());
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.drawn_as.pop();
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let (_, tensor, mapper) = param.consume();
        let tensor = match D {
            0 | 1 => tensor,
            _ if is_constant(&tensor) => tensor,
            _ => {
                let std = self.std(&path, &tensor.dims());
                let draws = path_seed(&self.drawn_as.join("."));
                redraw(tensor, mix_seed(self.seed, draws), std)
            }
        };
        let id = ParamId::from(path_seed(&path));
        Param::from_mapped_value(id, tensor, mapper)
    }
}

fn is_constant<const D: usize>(tensor: &Tensor<D>) -> bool {
    let tensor = tensor.clone().detach();
    let low: f32 = tensor.clone().min().into_scalar();
    let high: f32 = tensor.max().into_scalar();
    low == high
}

fn redraw<const D: usize>(tensor: Tensor<D>, seed: u64, std: f64) -> Tensor<D> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..tensor.shape().num_elements())
        .map(|_| {
            let draw: f64 = rng.sample(StandardNormal);
            (draw * std) as f32
        })
        .collect();
    let data = TensorData::new(values, tensor.shape());
    let require_grad = tensor.is_require_grad();
    Tensor::from_data(data, &tensor.device()).set_require_grad(require_grad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::ModuleVisitor;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;
    use moe_router::zoo::{ComposedRouterConfig, MixtralRouterConfig, SwitchRouterConfig};
    use moe_router::{RouterConfig, RouterShape};

    #[derive(Module, Debug)]
    struct Pair {
        first: Linear,
        second: Linear,
    }

    fn pair() -> Pair {
        let device = Device::flex();
        Pair {
            first: LinearConfig::new(64, 64).init(&device),
            second: LinearConfig::new(64, 64).init(&device),
        }
    }

    #[test]
    fn weights_depend_on_seed_and_path_alone() {
        let touched = pair();
        let _ = touched.second.weight.val(); // another order of first access
        let a = seed_parameters(touched, "Mixtral", 1, 2);
        let b = seed_parameters(pair(), "Mixtral", 1, 2);
        let c = seed_parameters(pair(), "Mixtral", 2, 2);
        assert_eq!(a.first.weight.to_data(), b.first.weight.to_data());
        assert_ne!(a.first.weight.to_data(), a.second.weight.to_data());
        assert_ne!(a.first.weight.to_data(), c.first.weight.to_data());
        assert_eq!(a.first.weight.id, b.first.weight.id);
    }

    #[test]
    fn gates_of_all_routers_are_drawn_alike() {
        let device = Device::flex();
        let shape = RouterShape {
            d_model: 16,
            n_experts: 4,
            layer: 0,
        };
        let gate = |config: RouterConfig| {
            let router = config.init(&shape, &device);
            let router = seed_parameters(router, "Mixtral", 1, 2);
            let mut gates = Gates::default();
            router.visit(&mut gates);
            gates.0
        };
        let mixtral = gate(MixtralRouterConfig::default().into());
        assert_eq!(mixtral.len(), 1);
        assert_eq!(mixtral, gate(SwitchRouterConfig::default().into()));
        assert_eq!(mixtral, gate(ComposedRouterConfig::default().into()));
    }

    #[derive(Default)]
    struct Gates(Vec<TensorData>);

    impl ModuleVisitor for Gates {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().to_data());
        }
    }

    #[test]
    fn weights_have_the_stated_variance() {
        let weight = seed_parameters(pair(), "Mixtral", 1, 2).first.weight.val();
        let var: f32 = weight.square().mean().into_scalar();
        // 1 / (3 * 64) = 0.0052083; 4,096 draws: relative error sqrt(2 / 4096) = 0.022
        assert!((var * 192.0 - 1.0).abs() < 0.1, "{var}");
    }
}
