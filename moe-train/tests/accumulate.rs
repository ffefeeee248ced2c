//! Splitting a step into micro-batches changes neither its loss nor its gradient, where balance losses are 0
//! and no router has a capacity.
#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use moe_router::BalanceConfig;
use moe_train::config::RunConfig;
use moe_train::run::{StepMetrics, Trainer};
use moe_train::task::TaskData;
use std::sync::atomic::AtomicBool;

const N_ROWS: usize = 16;

fn config(more: &[&str]) -> RunConfig {
    let small = [
        "router.name=mixtral",
        "router.top_k=2",
        "model.d_model=16",
        "model.n_layers=2",
        "attention.n_heads=2",
        "experts.n_experts=4",
        "experts.d_expert=16",
        "train.warmup_steps=1",
        "train.clip_norm=0.0",
    ];
    let mut config = RunConfig::of_overrides(&[&small[..], more].concat()).unwrap();
    config.balance = BalanceConfig::default();
    config
}

/// A table whose targets have 1 and 14 words by turns.
fn uneven_pairs() -> (tempfile::TempDir, RunConfig) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.tsv");
    let words = ["uno", "dos", "tres", "cuatro", "cinco"];
    let table: String = (0..200usize)
        .map(|i| {
            let n_words = if i.is_multiple_of(2) { 1 } else { 14 };
            let target: Vec<&str> = (0..n_words).map(|j| words[(i + j * j) % 5]).collect();
            format!("number {i}\t{}\n", target.join(" "))
        })
        .collect();
    std::fs::write(&path, table).unwrap();
    let path = format!("data.path={}", path.display());
    let config = config(&[
        "model.family=switch",
        "model.n_decoder_layers=2",
        "model.d_dense=16",
        "data.name=translation",
        "data.vocab_size=375",
        "data.target_length=96",
        "train.seq_length=64",
        &path,
    ]);
    (folder, config)
}

/// The second step of micro-batches of a size, which has seen the first one's update.
fn second_step(config: &RunConfig, data: &TaskData, batch_size: usize) -> StepMetrics {
    let mut config = config.clone();
    config.train.batch_size = batch_size;
    config.train.accumulate = N_ROWS / batch_size;
    let mut batches = data.batches(config.seed, 0, batch_size);
    let mut trainer = Trainer::new(&config, &Device::flex());
    trainer.step(&mut batches).unwrap();
    trainer.step(&mut batches).unwrap()
}

fn assert_the_same(config: &RunConfig) {
    let data = TaskData::load(config, &AtomicBool::new(false)).unwrap();
    let whole = second_step(config, &data, N_ROWS);
    let close = |a: f64, b: f64| (a - b).abs() <= 2e-4 * b.abs();
    for batch_size in [8, 2, 1] {
        let split = second_step(config, &data, batch_size);
        let name = format!("{} by {batch_size}", config.run_name());
        let figures = |of: &StepMetrics| (of.loss, of.grad_norm, of.mtp_loss, of.accuracy);
        let words = format!("{name}: {:?} and {:?}", figures(&split), figures(&whole));
        assert!(close(split.loss, whole.loss), "{words}");
        assert!(close(split.lm_loss, whole.lm_loss), "{words}");
        assert!(close(split.grad_norm, whole.grad_norm), "{words}");
        for (a, b) in [
            (split.mtp_loss, whole.mtp_loss),
            (split.accuracy, whole.accuracy),
        ] {
            assert_eq!(a.is_some(), b.is_some(), "{words}");
            assert!(close(a.unwrap_or(0.0), b.unwrap_or(0.0)), "{words}");
        }
        for (a, b) in split.layers.iter().zip(&whole.layers) {
            assert!(
                close(a.entropy, b.entropy),
                "{name}: {} and {}",
                a.entropy,
                b.entropy
            );
        }
    }
}

#[test]
fn of_text() {
    assert_the_same(&config(&["attention.n_kv_heads=1", "train.seq_length=32"]));
}

#[test]
fn of_text_whose_further_tokens_are_predicted() {
    let further = [
        "model.family=deepseek_v3",
        "model.d_dense=16",
        "model.n_mtp_layers=2",
        "train.seq_length=32",
    ];
    assert_the_same(&config(&further));
}

#[test]
fn of_images() {
    let images = [
        "model.family=vmoe",
        "model.d_mlp=16",
        "model.moe_layers=[1]",
        "model.patch_size=2",
    ];
    assert_the_same(&config(&images));
}

#[test]
fn of_pairs_whose_targets_are_of_uneven_length() {
    let (_folder, config) = uneven_pairs();
    assert_the_same(&config);
}
