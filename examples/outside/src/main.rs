//! A mixture-of-experts layer outside of the workbench: two sequences go through it, forward and backward.

use burn::tensor::{Device, Distribution, Tensor};
use moe_experts::{MoeLayerConfig, MoeOutput};
use moe_router::metrics::max_vio;
use moe_router::{RouterConfig, balance::load_balance};

fn main() {
    let device = Device::flex().autodiff();
    device.seed(0);
    let layer = MoeLayerConfig::new(64, 8, 128)
        .with_router(RouterConfig::mixtral(2))
        .init(&device);
    println!("{layer}");

    let x = Tensor::random([2, 128, 64], Distribution::Normal(0.0, 1.0), &device);
    let MoeOutput { output, routing } = layer.forward(x);
    println!("output {:?}", output.dims());

    let load = routing.load();
    for (expert, kept) in load.kept.iter().enumerate() {
        println!("expert {expert}: {kept} tokens");
    }
    println!("all experts: {} tokens", load.kept.iter().sum::<f64>());
    println!("MaxVio {:.3}", max_vio(&load));

    let loss = output.square().mean() + load_balance(&routing) * 0.01;
    let gradients = loss.backward();
    let gradient = layer.experts.up.val().grad(&gradients);
    println!("gradient {:?}", gradient.expect("experts learn").dims());
}
