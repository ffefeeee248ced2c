//! Times of every router, beside the layer of experts that it routes for.
//!
//! 4,096 tokens of width 512 in 16 sequences, 64 experts, 8 of them a token where the router can be told
//! so. The layer is workload B of [`workloads`](crate::workloads), whose experts these are.

use crate::contest::{Contest, Contestant, Samples};
use crate::layer_table::activation_name;
use crate::pass::Pass;
use crate::table::{columns, milliseconds, thousands};
use crate::timing::Timing;
use crate::workloads::{Workload, WorkloadGroup};
use burn::tensor::{Device, Distribution, Tensor};
use moe_experts::Activation;
use moe_router::{AnyRouter, Router, RouterConfig, RouterInput, RouterShape};
use serde::Serialize;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

/// The number of tokens that are routed.
pub const N_TOKENS: usize = 4096;
const N_SEQUENCES: usize = 16;
const TOP_K: usize = 8;

/// The layer that is routed for.
pub const SHAPE: RouterShape = RouterShape {
    d_model: 512,
    n_experts: 64,
    layer: 0,
};

/// Modes of a router: training, with its noise, or evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Without noise.
    Evaluation,
    /// With noise. No gradients are computed.
    Training,
}

/// The times of routers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouterBench {
    /// The device.
    pub device: String,
    /// The number of tokens that are routed.
    pub n_tokens: usize,
    /// The number of tokens of the layer.
    pub layer_tokens: usize,
    /// The layers to compare with.
    pub layers: Vec<LayerSpeed>,
    /// The routers.
    pub rows: Vec<RouterSpeed>,
}

/// Speed of the layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerSpeed {
    /// Its activation.
    pub activation: Activation,
    /// Seconds of its forward pass, its own router (Mixtral's) included.
    pub time: Timing,
}

/// Speed of a router.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouterSpeed {
    /// Its name.
    pub router: &'static str,
    /// Training or evaluation.
    pub mode: Mode,
    /// Seconds a call.
    pub time: Timing,
    /// Its time a token as a share of each layer's, the medians of the rounds.
    pub share_of_layers: Vec<f64>,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Evaluation, Self::Training];

    /// The seed of the noise, if there is any.
    pub fn noise(self) -> Option<u64> {
        match self {
            Self::Evaluation => None,
            Self::Training => Some(0),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Training => "training",
        }
    }
}

/// The tokens to route.
pub fn input(device: &Device) -> RouterInput {
    device.seed(0);
    let shape = [N_TOKENS, SHAPE.d_model];
    let x_td = Tensor::random(shape, Distribution::Normal(0.0, 1.0), device);
    let ids: Arc<[u32]> = (0..N_TOKENS as u32).map(|t| t % 1000).collect();
    RouterInput::new(x_td).groups(N_SEQUENCES).token_ids(ids)
}

/// A router's defaults, with 8 experts a token if it has that key.
///
/// # Panics
///
/// Panics if the list has no such router.
pub fn router(name: &str, device: &Device) -> AnyRouter {
    let config = RouterConfig::from_name(name).expect("a listed name has a default");
    let mut json = serde_json::to_value(config).expect("a configuration is JSON");
    if let Some(top_k) = json.get_mut("top_k") {
        *top_k = TOP_K.into();
    }
    let config: RouterConfig = serde_json::from_value(json).expect("8 experts a token fit");
    config.init(&SHAPE, device)
}

/// The activations of the layers that routers are compared with.
pub const ACTIVATIONS: [Activation; 2] = [Activation::Gelu, Activation::SwiGlu];

/// The layer that routers are compared with, as work to time.
pub fn layer_work(activation: Activation, device: &Device) -> Box<dyn FnMut()> {
    let workload = layer();
    let layer = workload.init(activation, device);
    let forward = move |input| layer.forward_tokens(input).output;
    Pass::Forward.work(device.clone(), workload.inputs(device), forward)
}

fn layer() -> Workload {
    let group = WorkloadGroup::of("B").expect("it is in the list");
    group.workloads[0].clone()
}

/// A router as work to time.
pub fn router_work(name: &str, mode: Mode, device: &Device) -> impl FnMut() + 'static {
    let (router, device) = (router(name, device), device.clone());
    let input = input(&device).noise(mode.noise());
    move || {
        let routing = router.route(input.clone());
        device.sync().expect("the device works");
        drop(routing);
    }
}

/// Times routers and the layers, alternating.
///
/// # Panics
///
/// Panics if the contest has no rounds or a name is not in the list.
pub fn bench(
    names: &[&'static str],
    contest: &Contest,
    device_name: &str,
    device: &Device,
) -> RouterBench {
    let subjects: Vec<(&'static str, Mode)> = names
        .iter()
        .flat_map(|&name| Mode::ALL.map(|mode| (name, mode)))
        .collect();
    let layers = ACTIVATIONS.map(|activation| Contestant::of(layer_work(activation, device)));
    let routers = subjects
        .iter()
        .map(|&(name, mode)| Contestant::of(router_work(name, mode, device)));
    let mut contestants: Vec<Contestant<'_, Infallible>> =
        layers.into_iter().chain(routers).collect();
    let Ok(samples) = contest.run(&mut contestants);
    let (of_layers, samples) = samples.split_at(ACTIVATIONS.len());
    let rows = subjects.iter().zip(samples);
    let layers = ACTIVATIONS.iter().zip(of_layers);
    RouterBench {
        device: device_name.to_owned(),
        n_tokens: N_TOKENS,
        layer_tokens: layer().n_tokens,
        layers: layers
            .map(|(&activation, times)| LayerSpeed {
                activation,
                time: times.timing(),
            })
            .collect(),
        rows: rows
            .map(|(&(router, mode), times)| RouterSpeed {
                router,
                mode,
                time: times.timing(),
                share_of_layers: shares(times, of_layers),
            })
            .collect(),
    }
}

/// The time of a routed token as a share of its time in each layer, the medians of the rounds.
fn shares(times: &Samples, of_layers: &[Samples]) -> Vec<f64> {
    let per_token = layer().n_tokens as f64 / N_TOKENS as f64;
    let share = |layer: &Samples| per_token * times.ratio_to(layer).median;
    of_layers.iter().map(share).collect()
}

impl fmt::Display for RouterBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "routing {} tokens of {} over {} experts on {}; the shares are of the time a token of the layer B \
             forward over {} tokens",
            thousands(self.n_tokens),
            SHAPE.d_model,
            SHAPE.n_experts,
            self.device,
            thousands(self.layer_tokens)
        )?;
        for layer in &self.layers {
            let (name, time) = (activation_name(layer.activation), layer.time.median_s);
            writeln!(f, "layer B, {name}: {} ms", milliseconds(time))?;
        }
        let mut names: Vec<String> = ["router", "ms", "fastest", "slowest"]
            .map(str::to_owned)
            .into();
        let share_of = |layer: &LayerSpeed| format!("of {}", activation_name(layer.activation));
        names.extend(self.layers.iter().map(share_of));
        let mut rows = vec![names];
        rows.extend(self.rows.iter().map(|row| {
            let mut cells = vec![format!("{}, {}", row.router, row.mode.name())];
            let times = [row.time.median_s, row.time.min_s, row.time.max_s];
            cells.extend(times.map(milliseconds));
            let shares = row.share_of_layers.iter();
            cells.extend(shares.map(|share| format!("{:.1} %", 100.0 * share)));
            cells
        }));
        write!(f, "{}", columns(&rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_is_timed_in_both_modes_beside_the_layer() {
        let contest = Contest {
            warmup: 0,
            rounds: 1,
        };
        let bench = bench(&["mixtral"], &contest, "flex", &Device::flex());
        let activations: Vec<Activation> = bench.layers.iter().map(|l| l.activation).collect();
        assert_eq!(activations, ACTIVATIONS);
        let modes: Vec<Mode> = bench.rows.iter().map(|row| row.mode).collect();
        assert_eq!(modes, Mode::ALL);
        for row in &bench.rows {
            for (layer, of_layer) in bench.layers.iter().zip(&row.share_of_layers) {
                // half as many tokens: (route / 4,096) / (layer / 2,048)
                let share = row.time.median_s / 4096.0 / (layer.time.median_s / 2048.0);
                assert!((of_layer - share).abs() < 1e-9 * share);
            }
        }
        assert!(
            bench.to_string().contains("\nmixtral, training "),
            "{bench}"
        );
    }
}
