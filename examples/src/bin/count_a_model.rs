//! The size and cost of a model without building it: Mixtral 8x7B with several routers.

use moe_attention::GroupedQueryAttentionConfig;
use moe_experts::MoeLayerConfig;
use moe_models::MixtralConfig;
use moe_router::RouterConfig;

fn main() {
    let attention = GroupedQueryAttentionConfig::new(4096, 32, 8);
    let experts = MoeLayerConfig::new(4096, 8, 14_336);
    let config = MixtralConfig::new(32_000, 32, attention, experts);

    println!("router           parameters  active a token   GFLOP a token");
    for name in ["mixtral", "switch", "hash"] {
        let router = RouterConfig::from_name(name).expect("a name of the list");
        let account = config.account(&router, 1, 4096); // one sequence of 4,096 tokens
        println!(
            "{name:<12} {:>14} {:>15} {:>15.1}",
            account.params_total,
            account.params_active,
            account.flops_per_token as f64 / 1e9
        );
    }

    let router = RouterConfig::from_name("mixtral").expect("a name of the list");
    let account = config.account(&router, 1, 4096);
    println!(
        "keys and values: {} bytes a token in f32",
        account.kv_bytes_per_token
    );
    println!(
        "training in f32: {:.0} GiB of weights, gradients and moments",
        (account.memory.weights_bytes
            + account.memory.gradients_bytes
            + account.memory.optimizer_bytes) as f64
            / f64::from(1 << 30)
    );
}
