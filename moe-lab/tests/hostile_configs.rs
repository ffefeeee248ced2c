//! Configurations and claims with hostile values: every one is refused in words or can be planned, at once and
//! without a panic.
//!
//! `MOE_FUZZ=N` makes N changed files instead of a few.
#![allow(clippy::unwrap_used)]

use moe_lab::ablate::{Claim, Plan};
use moe_train::config::RunConfig;
use moe_train::resolve::ConfigFile;
use moe_train::task::TaskData;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CONFIGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");

const VALUES: [&str; 24] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "1048576",
    "1048577",
    "4294967296",
    "18014398509481984",
    "4611686018427387904",
    "9223372036854775807",
    "0.0",
    "-0.5",
    "1e308",
    "1e-320",
    "inf",
    "nan",
    "true",
    "\"\"",
    "\"switch\"",
    "[]",
    "[0, 9223372036854775807]",
    "{}",
];

/// The TOML files in a folder and the folders in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "toml") {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// Every configuration, every key of every router, and every value above.
fn override_of(config: &RunConfig, rng: &mut ChaCha8Rng) -> String {
    let keys = config.values();
    let (key, _) = &keys[rng.random_range(0..keys.len())];
    format!("{key}={}", VALUES[rng.random_range(0..VALUES.len())])
}

fn change(text: &str, rng: &mut ChaCha8Rng) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let place = rng.random_range(0..lines.len());
    match rng.random_range(0..5) {
        0 => {
            lines.remove(place);
        }
        1 => lines.insert(place, lines[rng.random_range(0..lines.len())].clone()),
        2 => {
            let mut bytes = lines[place].clone().into_bytes();
            if !bytes.is_empty() {
                let at = rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << rng.random_range(0..8);
            }
            lines[place] = String::from_utf8_lossy(&bytes).into_owned();
        }
        _ => {
            let set: Vec<usize> = (0..lines.len())
                .filter(|&i| lines[i].contains(" = "))
                .collect();
            let place = set[rng.random_range(0..set.len())];
            let key = lines[place].split(" = ").next().unwrap().to_owned();
            lines[place] = format!("{key} = {}", VALUES[rng.random_range(0..VALUES.len())]);
        }
    }
    lines.join("\n")
}

/// Counts all that a plan counts, and writes the configuration back.
fn plan(config: &RunConfig) {
    let account = config.account();
    let memory = &account.memory;
    let parts = [
        memory.weights_bytes,
        memory.gradients_bytes,
        memory.optimizer_bytes,
        memory.activations_bytes,
    ];
    let total = parts
        .iter()
        .try_fold(0usize, |sum, part| sum.checked_add(*part));
    assert!(total.is_some(), "the memory wraps");
    assert!(account.params_active <= account.params_total.saturating_mul(2));
    assert!(
        config
            .train
            .steps
            .checked_mul(config.tokens_per_step())
            .is_some()
    );
    let again = ConfigFile::parse("again", &config.to_toml()).unwrap();
    let again = RunConfig::resolve::<&str>(again, &[]).unwrap().config;
    assert_eq!(&again, config);
    assert_eq!(again.run_name(), config.run_name());
}

/// Runs a case, which may take ten seconds and must not panic.
fn hold(what: &str, case: impl FnOnce()) {
    let started = Instant::now();
    if catch_unwind(AssertUnwindSafe(case)).is_err() {
        panic!("a panic:\n{what}");
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}:\n{what}");
}

fn rounds() -> usize {
    std::env::var("MOE_FUZZ").map_or(400, |n| n.parse().unwrap())
}

#[test]
fn hostile_overrides_are_refused_or_planned() {
    let all: Vec<RunConfig> = files(Path::new(CONFIGS))
        .iter()
        .filter_map(|path| RunConfig::load::<&str>(path, &[]).ok())
        .map(|resolved| resolved.config)
        .collect();
    let routers = moe_router::RouterConfig::NAMES.iter();
    let of_routers = routers.filter_map(|name| RunConfig::with_router(name).ok());
    let all: Vec<RunConfig> = all.into_iter().chain(of_routers).collect();
    assert!(all.len() > 20, "{}", all.len());
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut planned = 0;
    for _ in 0..rounds() {
        let config = &all[rng.random_range(0..all.len())];
        let n = rng.random_range(1..4);
        let overrides: Vec<String> = (0..n).map(|_| override_of(config, &mut rng)).collect();
        let text = config.to_toml();
        hold(&format!("{overrides:?} of\n{text}"), || {
            let file = ConfigFile::parse("it", &text).unwrap();
            if let Ok(resolved) = RunConfig::resolve(file, &overrides) {
                planned += 1;
                plan(&resolved.config);
                let _ = TaskData::check(&resolved.config);
            }
        });
    }
    assert!(planned > rounds() / 20, "{planned} were planned");
}

#[test]
fn hostile_files_are_refused_or_planned() {
    let dir = tempfile::tempdir().unwrap();
    let mut texts = Vec::new();
    for path in files(Path::new(CONFIGS)) {
        let to = dir.path().join(path.strip_prefix(CONFIGS).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&path, &to).unwrap();
        texts.push((to, fs::read_to_string(path).unwrap()));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..rounds() {
        let (path, text) = &texts[rng.random_range(0..texts.len())];
        let mut changed = text.clone();
        for _ in 0..rng.random_range(1..4) {
            changed = change(&changed, &mut rng);
        }
        fs::write(path, &changed).unwrap();
        hold(
            &format!("{}:\n{changed}", path.display()),
            || match Claim::read(path) {
                Ok(Some(claim)) => {
                    if let Ok(plan_of_all) = Plan::of_claim(&claim, &[], None) {
                        plan_of_all.arms.iter().for_each(|arm| plan(&arm.config));
                        assert!(plan_of_all.seeds.len() <= 1000);
                    }
                }
                Ok(None) => {
                    if let Ok(resolved) = RunConfig::load::<&str>(path, &[]) {
                        plan(&resolved.config);
                    }
                }
                Err(_) => (),
            },
        );
        fs::write(path, text).unwrap();
    }
}

#[test]
fn the_largest_sizes_are_refused_by_name_at_once() {
    for key in [
        "model.n_layers",
        "model.d_model",
        "experts.n_experts",
        "experts.d_expert",
        "experts.n_shared_experts",
        "attention.n_heads",
        "train.batch_size",
        "train.seq_length",
        "train.accumulate",
    ] {
        for value in ["9223372036854775807", "4611686018427387904", "1048577"] {
            let started = Instant::now();
            let error = RunConfig::of_overrides(&[format!("{key}={value}")]).unwrap_err();
            assert!(
                error.to_string().contains(&format!("{key} = {value}")),
                "{error}"
            );
            assert!(started.elapsed() < Duration::from_secs(1), "{key}={value}");
        }
    }
    let images = [
        "model.family=vmoe",
        "data.name=images",
        "data.path=x",
        "data.n_classes=3",
    ];
    for side in ["65536", "4294967310"] {
        let side = format!("data.image_size={side}");
        let error = RunConfig::of_overrides(&[&images[..], &[&side]].concat()).unwrap_err();
        assert!(
            error.to_string().starts_with("data.image_size = "),
            "{error}"
        );
    }
}
