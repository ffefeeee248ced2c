//! A router alone: route tokens and look at who went where.

use burn::tensor::{Device, Distribution, Tensor};
use moe_router::metrics::{dead_experts, drop_rate, load_entropy, max_vio};
use moe_router::zoo::SwitchRouterConfig;
use moe_router::{Preset, Router, RouterInput, RouterShape};

fn main() {
    let device = Device::flex();
    device.seed(0);
    let shape = RouterShape {
        d_model: 64,
        n_experts: 8,
        layer: 0,
    };
    // every router of `moe list routers` has such a configuration
    let router = SwitchRouterConfig::default().init(&shape, &device);

    // 4 sequences of 256 tokens; capacity is counted within a sequence
    let tokens = Tensor::random([4 * 256, 64], Distribution::Normal(0.0, 1.0), &device);
    let routing = router.route(RouterInput::new(tokens).groups(4));

    let load = routing.load();
    println!("expert    asked     kept");
    for (expert, (asked, kept)) in load.asked.iter().zip(&load.kept).enumerate() {
        println!("{expert:>6} {asked:>8} {kept:>8}");
    }
    println!(
        "MaxVio          {:.3}  (0 is perfect balance)",
        max_vio(&load)
    );
    println!("load entropy    {:.3}", load_entropy(&load));
    println!("dropped         {:.1} %", 100.0 * drop_rate(&load));
    println!("dead experts    {}", dead_experts(&load));
    println!(
        "experts of the first tokens: {:?}",
        &routing.first_expert()[..6]
    );
}
