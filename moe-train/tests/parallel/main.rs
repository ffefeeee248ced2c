//! The number of ranks is no part of a run: losses, gradients' norms, loads, weights and moments have the same bits.
#![allow(clippy::unwrap_used)]

#[path = "../common/runs.rs"]
mod common;
mod left;
mod museum;
mod runs;

use left::{config, difference, left};
use moe_parallel::{Mesh, Threads};
use moe_router::RouterConfig;
use moe_train::config::{ModelConfig, RunConfig};
use moe_train::task::TaskData;
use std::sync::atomic::AtomicBool;

/// Ranks, and those of them among which experts are shared out.
const LAYOUTS: [(usize, usize); 5] = [(2, 1), (2, 2), (4, 1), (4, 2), (4, 4)];

/// Compares runs of all layouts with that of one process.
fn check(config: &RunConfig, n_steps: usize) {
    let data = TaskData::load(config, &AtomicBool::new(false)).unwrap();
    let alone = left(config, &data, n_steps, Mesh::one());
    for (ranks, experts) in LAYOUTS {
        let all = Threads::run(ranks, |world| {
            left(config, &data, n_steps, Mesh::new(world, experts).unwrap())
        });
        for (rank, left) in all.iter().enumerate() {
            if let Some(what) = difference(&alone, left) {
                let name = config.run_name();
                panic!(
                    "{name}: rank {rank} of {ranks} with {experts} for the experts differs: {what}"
                );
            }
        }
    }
}

/// Steps of each router's runs; `MOE_STEPS=20` makes more of them.
fn n_steps() -> usize {
    let asked = std::env::var("MOE_STEPS").ok();
    asked.map_or(3, |text| text.parse().unwrap())
}

fn check_routers(family: &str) {
    for router in RouterConfig::NAMES {
        // patches of images have no ids to hash
        if *router != "hash" || family != "vmoe" {
            check(&config(family, router, &[]), n_steps());
        }
    }
}

#[test]
fn of_every_router_in_a_decoder() {
    check_routers("mixtral");
}

#[test]
fn of_every_router_with_images() {
    check_routers("vmoe");
}

#[test]
fn of_every_family_over_twenty_steps() {
    // a family without experts has none to share out
    for family in ModelConfig::NAMES.iter().filter(|name| **name != "llama") {
        check(&config(family, "loss_free", &[]), 20);
    }
}

#[test]
fn of_balance_losses_of_a_batch_of_a_sequence_and_of_logits() {
    let weights = [
        "balance.load_balance=0.05",
        "balance.sequence=0.01",
        "balance.z=0.01",
    ];
    check(&config("mixtral", "deepseek_v3", &weights), 4);
}

#[test]
fn of_more_micro_batches_than_ranks() {
    for accumulate in ["train.accumulate=8", "train.accumulate=12"] {
        check(&config("mixtral", "deepseek_v3", &[accumulate]), 3);
    }
}
