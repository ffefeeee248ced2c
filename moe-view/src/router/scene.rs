//! The same 64 tokens for every router: two sequences that stay with a subject for a while and then
//! change it, of six subjects of which the first comes most often.
//!
//! All values are small multiples of a power of two, so that the logits are exact in f32 and no machine
//! breaks a near tie otherwise; the weights that follow are drawn in steps too coarse for rounding to show.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use moe_router::parts::{mix_seed, uniform_below, uniform_unit};
use moe_router::{AnyRouter, Router, RouterConfig, RouterInput, RouterShape, Routing};

/// The subject of each token, one sequence after the other.
pub const LETTERS: &str = "AAAABBAAACCCAAAADDAAABBEEAAFFAAA\
                           BBBBAAAACCAAEEEAAADDDBBAAAAFFCAA";
/// The number of experts with a network.
pub const N_EXPERTS: usize = 8;
const N_SEQUENCES: usize = 2;
const D_MODEL: usize = 16;
/// The number of words of a subject.
const N_WORDS: usize = 4;
/// As many steps as state needs to settle at the speeds that routers have by default.
const STEPS: u64 = 500;

/// The scenes that routers are shown with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// A training step, with its noise, after 500 of them on the same tokens: state has settled, the
    /// gate is as it was drawn.
    Training,
    /// The same router afterwards, in evaluation.
    Evaluation,
}

impl Scene {
    /// Routes the tokens, with the noise that a seed gives.
    pub fn route(self, router: &RouterConfig, seed: u64, device: &Device) -> Routing {
        let shape = RouterShape {
            d_model: D_MODEL,
            n_experts: N_EXPERTS,
            layer: 0,
        };
        let mut router: AnyRouter = router.init(&shape, device).map(&mut Draw);
        let input = input(device);
        let training = |step| input.clone().noise(Some(mix_seed(seed, step)));
        for step in 0..STEPS {
            let load = router.route(training(step)).load();
            router = router.advance(&load);
        }
        match self {
            Scene::Training => router.route(training(STEPS)),
            Scene::Evaluation => router.route(input),
        }
    }

    /// The scene in words.
    pub fn name(self) -> &'static str {
        match self {
            Scene::Training => "a training step",
            Scene::Evaluation => "evaluation",
        }
    }
}

/// The tokens: a subject's direction, a word's, and a little that is the token's own.
fn input(device: &Device) -> RouterInput {
    let mut x = Vec::with_capacity(LETTERS.len() * D_MODEL);
    let mut ids = Vec::with_capacity(LETTERS.len());
    for (t, letter) in LETTERS.bytes().enumerate() {
        let word = uniform_below(N_WORDS, 5, t as u64) as u64;
        let id = u64::from(letter - b'A') * N_WORDS as u64 + word;
        ids.push(id as u32);
        for i in 0..D_MODEL as u64 {
            let subject = draw(u64::from(letter), i);
            let word = 0.5 * draw(1000 + id, i);
            x.push(multiple(
                subject + word + 0.3 * draw(2000 + t as u64, i),
                8.0,
            ));
        }
    }
    let data = TensorData::new(x, [LETTERS.len(), D_MODEL]);
    RouterInput::new(Tensor::from_data(data, device))
        .groups(N_SEQUENCES)
        .token_ids(ids.into())
}

/// Draws every matrix of a router anew, column by column, so that gates have the same first columns
/// whatever the router. Constants and vectors (biases, thresholds, temperatures) stay.
struct Draw;

impl ModuleMapper for Draw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let (shape, device) = (tensor.dims(), tensor.device());
        let trained = tensor.is_require_grad();
        let mut values: Vec<f32> = tensor
            .clone()
            .detach()
            .into_data()
            .try_into_vec()
            .expect("parameters are f32 before training");
        if D == 2 && values.iter().any(|value| *value != values[0]) {
            let (rows, columns) = (shape[0], shape[1]);
            let scale = 1.5 / (rows as f64).sqrt();
            for (i, value) in values.iter_mut().enumerate() {
                let (row, column) = ((i / columns) as u64, (i % columns) as u64);
                *value = multiple(scale * draw(3000 + column, row), 32.0);
            }
        }
        let tensor = Tensor::from_data(TensorData::new(values, shape), &device);
        Param::from_mapped_value(id, tensor.set_require_grad(trained), mapper)
    }
}

/// A number of mean 0 and deviation 1, uniform.
fn draw(seed: u64, key: u64) -> f64 {
    (uniform_unit(mix_seed(seed, 17), key) * 2.0 - 1.0) * 3f64.sqrt()
}

/// The nearest multiple of `1 / n`.
fn multiple(x: f64, n: f64) -> f32 {
    ((x * n).round() / n) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_router::metrics::max_vio;

    fn route(name: &str, scene: Scene) -> Routing {
        let config = RouterConfig::from_name(name).expect("a name of the list");
        scene.route(&config, 0, &Device::flex())
    }

    #[test]
    fn sums_are_exact() {
        // |x| < 8 and |w| < 1 in steps of 1/8 and 1/32: 16 products are below 2^7 in steps of 2^-8
        let x: Vec<f32> = input(&Device::flex())
            .x_td
            .into_data()
            .try_into_vec()
            .expect("f32");
        assert!(x.iter().all(|x| x.abs() < 8.0 && (x * 8.0).fract() == 0.0));
        let logits: Vec<f32> = route("mixtral", Scene::Evaluation)
            .logits
            .into_data()
            .try_into_vec()
            .expect("f32");
        assert!(logits.iter().all(|z| (z * 256.0).fract() == 0.0));
    }

    #[test]
    fn gates_are_the_same_whatever_the_router() {
        let logits = |name| route(name, Scene::Evaluation).logits.into_data();
        assert_eq!(logits("mixtral"), logits("deepseek_v3"));
    }

    #[test]
    fn a_state_that_balances_has_settled() {
        let vio = |name| max_vio(&route(name, Scene::Training).load());
        assert!(vio("loss_free") < 0.5 * vio("deepseek_moe"));
    }

    #[test]
    fn base_is_balanced_in_training_alone() {
        let load = |scene| route("base", scene).load().kept;
        assert_eq!(load(Scene::Training), [8.0; 8]); // 2 sequences of 32 tokens, 8 experts
        assert_ne!(load(Scene::Evaluation), [8.0; 8]);
    }
}
