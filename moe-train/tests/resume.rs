//! A run that was stopped and continued gives the numbers of one that was not.
#![allow(clippy::unwrap_used)]

#[path = "common/runs.rs"]
mod common;

use burn::tensor::Device;
use common::{StopAfter, metrics};
use moe_train::config::{Keep, ModelConfig, RunConfig};
use moe_train::data::{DataConfig, Split, TextConfig, TextName};
use moe_train::run::{
    EvalMetrics, Event, LoadedRun, Observer, Outcome, RunError, RunFolder, RunOptions, Silent,
    Summary, Watch, checkpoint_path, evaluate_run, run_folder, shorter_run, train,
};
use moe_train::task::Merit;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const TINY: [&str; 14] = [
    "model.d_model=16",
    "model.n_layers=2",
    "attention.n_heads=2",
    "experts.n_experts=4",
    "experts.d_expert=16",
    "train.steps=12",
    "train.batch_size=2",
    "train.seq_length=32",
    "train.accumulate=2",
    "train.warmup_steps=2",
    "train.log_every=1",
    "train.eval_every=6",
    "train.eval_windows=9",
    "train.checkpoint_every=5",
];

fn config(router: &str) -> RunConfig {
    let router = format!("router.name={router}");
    RunConfig::of_overrides(&[&TINY[..], &[&router, "attention.n_kv_heads=1"]].concat()).unwrap()
}

fn family(name: &str, more: &[&str]) -> RunConfig {
    let family = format!("model.family={name}");
    RunConfig::of_overrides(&[&TINY[..], &[&family, "model.d_dense=24"], more].concat()).unwrap()
}

/// A vision transformer on the embedded digits, augmented.
fn vision(name: &str, more: &[&str]) -> RunConfig {
    let family = format!("model.family={name}");
    let tiny = [
        family.as_str(),
        "data.shift=1",
        "data.flip=true",
        "model.d_model=16",
        "model.n_layers=2",
        "model.d_mlp=16",
        "model.moe_layers=[1]",
        "attention.n_heads=2",
        "experts.n_experts=4",
        "experts.d_expert=16",
        "train.steps=12",
        "train.batch_size=4",
        "train.accumulate=2",
        "train.warmup_steps=2",
        "train.log_every=1",
        "train.eval_every=6",
        "train.eval_windows=50",
        "train.checkpoint_every=5",
    ];
    RunConfig::of_overrides(&[&tiny[..], more].concat()).unwrap()
}

fn options(runs: &Path) -> RunOptions {
    RunOptions {
        runs_dir: runs.to_owned(),
        device_name: "flex".to_owned(),
        argv: Vec::new(),
        ..RunOptions::default()
    }
}

fn run(config: &RunConfig, runs: &Path, stop_after: Option<u64>) -> Option<Summary> {
    let stop = AtomicBool::new(false);
    let step = stop_after.unwrap_or(u64::MAX);
    let mut observer = StopAfter { step, stop: &stop };
    match train(
        config,
        &Device::flex(),
        &options(runs),
        &mut observer,
        &stop,
    )
    .unwrap()
    {
        Outcome::Finished(summary) => Some(summary),
        Outcome::AlreadyFinished(_) => panic!("not finished before"),
        Outcome::Interrupted { .. } => None,
    }
}

/// The score that the last evaluation gave.
fn validated(run: &LoadedRun) -> EvalMetrics {
    let mut watch = Watch {
        observer: &mut Silent,
        stop: &AtomicBool::new(false),
    };
    let (split, device) = (Split::Validation, Device::flex());
    let most = Some(run.config.train.final_windows());
    let metrics = evaluate_run(run, split, most, &device, &mut watch);
    metrics.unwrap().unwrap()
}

#[test]
fn stopping_and_continuing_changes_no_bit() {
    let groups = ["router.n_groups=2", "balance.device=0.05"];
    let mtp = ["model.n_mtp_layers=2", "attention.q_lora_rank=0"];
    let configs = [
        config("deepseek_v3"),
        config("noisy_topk"),
        config("switch"),
        family("deepseek_moe", &["attention.n_kv_heads=2"]),
        family("deepseek_v2", &groups),
        family("deepseek_v3", &mtp),
        vision("vmoe", &["router.top_k=1", "model.group_images=2"]),
        vision("soft_moe", &["router.slots_per_expert=2"]),
        vision("vmoe", &["model.moe_layers=[]"]),
    ];
    for config in configs {
        let name = config.run_name();
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let expected = run(&config, whole.path(), None).unwrap();
        assert_eq!(run(&config, parts.path(), Some(3)), None);
        assert_eq!(run(&config, parts.path(), Some(8)), None);
        let summary = run(&config, parts.path(), None).unwrap();

        assert_eq!(summary, expected, "{name}");
        assert_eq!(
            metrics(&config, parts.path()),
            metrics(&config, whole.path()),
            "{name}"
        );
    }
}

/// Sets the stop flag in an evaluation, counted from 1, once some windows of it are scored.
struct StopInEvaluation<'a> {
    evaluation: usize,
    seen: usize,
    stop: &'a AtomicBool,
}

impl Observer for StopInEvaluation<'_> {
    fn on(&mut self, event: Event<'_>) {
        let Event::Evaluating { done, of } = event else {
            return;
        };
        assert!(done < of);
        self.seen += usize::from(done == 0);
        if done > 0 && self.seen == self.evaluation {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn an_evaluation_is_stopped_between_two_batches_and_made_again() {
    let config = config("switch");
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = run(&config, whole.path(), None).unwrap();
    // the evaluation after step 6, and the last one after step 12
    for (evaluation, at) in [(1, 6), (2, 12), (1, 12)] {
        let stop = AtomicBool::new(false);
        let mut observer = StopInEvaluation {
            evaluation,
            seen: 0,
            stop: &stop,
        };
        let (device, options) = (Device::flex(), options(parts.path()));
        let ended = train(&config, &device, &options, &mut observer, &stop).unwrap();
        assert!(
            matches!(ended, Outcome::Interrupted { step } if step == at),
            "{ended:?} and not {at}"
        );
    }
    assert_eq!(run(&config, parts.path(), None).unwrap(), expected);
    assert_eq!(
        metrics(&config, parts.path()),
        metrics(&config, whole.path())
    );
}

#[test]
fn what_a_killed_process_left_is_deleted() {
    let config = config("hash");
    let runs = tempfile::tempdir().unwrap();
    assert_eq!(run(&config, runs.path(), Some(7)), None);
    let folder = RunFolder::new(run_folder(&config, runs.path()));
    let file = folder.path().join(".moe-a1b2c3.part");
    let (written, deleted) = (".step-8", ".step-5-old");
    std::fs::write(&file, "half").unwrap();
    for name in [written, deleted] {
        std::fs::create_dir(folder.checkpoints().join(name)).unwrap();
    }
    assert!(run(&config, runs.path(), None).is_some());
    assert!(!file.exists());
    let left = std::fs::read_dir(folder.checkpoints()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["step-12"]);
}

#[test]
fn the_last_evaluation_is_bounded_and_says_so() {
    let mut config = config("switch");
    config.train.final_eval_windows = 20;
    let runs = tempfile::tempdir().unwrap();
    let bounded = run(&config, runs.path(), None).unwrap().validation;
    // two of each of nine domains
    assert_eq!((bounded.n_scored, bounded.whole), (Some(18), false));
    assert_eq!(bounded.domains.len(), 9);
    config.train.final_eval_windows = 0;
    let folder = run_folder(&config, runs.path());
    assert!(!folder.exists(), "it is part of the question");
    assert_eq!(config.train.final_windows(), 2048);
    config.train.steps = 3000;
    // 3000 steps of 2 * 2 windows
    assert_eq!(config.train.final_windows(), 4000);
}

#[test]
fn a_finished_run_is_reported_and_can_be_opened() {
    let config = config("mixtral");
    let runs = tempfile::tempdir().unwrap();
    let summary = run(&config, runs.path(), None).unwrap();
    let device = Device::flex();
    let stop = AtomicBool::new(false);
    let again = train(&config, &device, &options(runs.path()), &mut Silent, &stop).unwrap();
    let Outcome::AlreadyFinished(again) = again else {
        panic!("finished before");
    };
    assert_eq!(again, summary);

    let loaded = LoadedRun::open(&run_folder(&config, runs.path()), &device).unwrap();
    assert_eq!((loaded.step, &loaded.config), (12, &config));
    assert_eq!(validated(&loaded), summary.validation);
}

#[test]
fn a_vision_transformer_learns_digits_and_is_scored_by_class() {
    let sizes = [
        "model.patch_size=2",
        "model.pooling=mean",
        "model.positions=sin_cos_2d",
        "data.shift=0",
        "data.flip=false",
    ];
    let mut config = vision("vmoe", &sizes);
    config.train.steps = 150;
    config.train.batch_size = 32;
    config.train.accumulate = 1;
    config.train.lr = 1e-2;
    let runs = tempfile::tempdir().unwrap();
    let summary = run(&config, runs.path(), None).unwrap();
    let validation = &summary.validation;
    // ten classes: chance is 0.1
    assert!(validation.score() > 0.4, "{}", validation.score());
    assert_eq!(validation.merit(), Merit::Accuracy);
    assert_eq!((validation.bits_per_byte, validation.n_bytes), (None, None));
    assert_eq!(validation.n_images, Some(357));
    assert_eq!(validation.domains.len(), 10);
    assert!(summary.causal && summary.causal_in_training);
    assert_eq!(summary.tokens, 150 * 32 * 16);

    let device = Device::flex();
    let loaded = LoadedRun::open(&run_folder(&config, runs.path()), &device).unwrap();
    assert_eq!(&validated(&loaded), validation);
    let trained = metrics(&config, runs.path());
    assert!(trained[0]["accuracy"].is_number() && trained[0]["balance"]["vmoe_load"].is_number());
}

#[test]
fn training_lowers_the_loss_and_logs_every_balance_loss() {
    let mut config = config("noisy_topk");
    config.train.steps = 40;
    config.train.lr = 1e-2;
    let runs = tempfile::tempdir().unwrap();
    let _ = run(&config, runs.path(), None).unwrap();
    let lines = metrics(&config, runs.path());
    let trained: Vec<_> = lines.iter().filter(|l| l["kind"] == "train").collect();
    let loss = |i: usize| trained[i]["lm_loss"].as_f64().unwrap();
    assert!(loss(39) < loss(0) - 1.0, "{} to {}", loss(0), loss(39));
    assert!(trained[0]["balance"]["importance"].is_number());
    assert!(trained[0]["balance"]["load"].is_number());
    assert_eq!(trained[0]["layers"].as_array().unwrap().len(), 2);
}

#[test]
fn the_selection_bias_moves_in_training_and_is_saved() {
    let config = config("deepseek_v3");
    let runs = tempfile::tempdir().unwrap();
    let _ = run(&config, runs.path(), None).unwrap();
    let loaded = LoadedRun::open(&run_folder(&config, runs.path()), &Device::flex()).unwrap();
    let moe_models::AnyDecoder::Mixtral(model) = loaded.model.decoder().unwrap() else {
        panic!("the configured family");
    };
    let moe_router::AnyRouter::DeepSeekV3(router) = &model.layers[0].moe.router else {
        panic!("the configured router");
    };
    let bias: Vec<f32> = router.bias.val().into_data().try_into_vec().unwrap();
    // 12 steps of 0.001, and some experts are never at the mean
    assert!(bias.iter().any(|b| b.abs() > 1e-4), "{bias:?}");
    assert!(bias.iter().all(|b| b.abs() < 0.0121), "{bias:?}");
}

#[test]
fn further_tokens_are_learned_and_their_router_balanced() {
    let mut config = family("deepseek_v3", &["train.lr=1e-2"]);
    config.train.steps = 30;
    let runs = tempfile::tempdir().unwrap();
    let _ = run(&config, runs.path(), None).unwrap();
    let lines = metrics(&config, runs.path());
    let trained: Vec<_> = lines.iter().filter(|l| l["kind"] == "train").collect();
    let loss = |i: usize, key: &str| trained[i][key].as_f64().unwrap();
    let (first, last) = (loss(0, "mtp_loss"), loss(29, "mtp_loss"));
    assert!(last < first - 1.0, "{first} to {last}");
    // one MoE layer behind the dense one, and the module's
    assert_eq!(trained[0]["layers"].as_array().unwrap().len(), 2);
    let expected = loss(0, "lm_loss") + 0.3 * first + 1e-4 * balance(trained[0]);
    assert!((loss(0, "loss") - expected).abs() < 1e-4);

    let loaded = LoadedRun::open(&run_folder(&config, runs.path()), &Device::flex()).unwrap();
    let moe_models::AnyDecoder::DeepSeek(model) = loaded.model.decoder().unwrap() else {
        panic!("the configured family");
    };
    let module = model.mtp[0].block.feed_forward.experts().unwrap();
    let moe_router::AnyRouter::DeepSeekV3(router) = &module.router else {
        panic!("the configured router");
    };
    let bias: Vec<f32> = router.bias.val().into_data().try_into_vec().unwrap();
    assert!(bias.iter().any(|b| b.abs() > 1e-4), "{bias:?}");
}

fn balance(line: &serde_json::Value) -> f64 {
    line["balance"]["sequence"].as_f64().unwrap()
}

#[test]
fn a_folder_that_is_no_run_and_a_damaged_checkpoint_are_errors() {
    let runs = tempfile::tempdir().unwrap();
    let error = LoadedRun::open(runs.path(), &Device::flex()).unwrap_err();
    assert!(matches!(error, RunError::NotARun(_)), "{error}");

    let config = config("hash");
    let _ = run(&config, runs.path(), None).unwrap();
    let folder = RunFolder::new(run_folder(&config, runs.path()));
    std::fs::write(folder.checkpoint(12).join("model.bpk"), b"not a model").unwrap();
    let error = LoadedRun::open(folder.path(), &Device::flex()).unwrap_err();
    assert!(matches!(error, RunError::Damaged { .. }), "{error}");
}

#[test]
fn two_processes_do_not_train_one_run() {
    let config = config("hash");
    let runs = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(run_folder(&config, runs.path()));
    let lock = folder.create().unwrap();
    let stop = AtomicBool::new(false);
    let device = Device::flex();
    let again = || train(&config, &device, &options(runs.path()), &mut Silent, &stop);
    assert!(matches!(again(), Err(RunError::Busy(_))));
    drop(lock);
    assert!(matches!(again(), Ok(Outcome::Finished(_))));
}

fn reading(text: &Path) -> RunConfig {
    RunConfig {
        data: DataConfig::Text(TextConfig {
            name: TextName::Text,
            path: text.display().to_string(),
            ..TextConfig::default()
        }),
        ..config("hash")
    }
}

#[test]
fn a_text_that_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.txt");
    std::fs::write(&text, "a quick brown fox ".repeat(80)).unwrap();
    let config = reading(&text);
    let runs = folder.path().join("runs");
    assert_eq!(run(&config, &runs, Some(3)), None);

    std::fs::write(&text, "a lazy black hound".repeat(80)).unwrap();
    let stop = AtomicBool::new(false);
    let device = Device::flex();
    let changed = train(&config, &device, &options(&runs), &mut Silent, &stop);
    assert!(matches!(changed, Err(RunError::DataChanged { .. })));
}

#[test]
fn a_request_to_stop_is_heard_while_data_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.txt");
    std::fs::write(&text, "a quick brown fox ".repeat(80)).unwrap();
    let config = reading(&text);
    let runs = folder.path().join("runs");
    let stopped = || {
        let stop = AtomicBool::new(true);
        let device = Device::flex();
        match train(&config, &device, &options(&runs), &mut Silent, &stop).unwrap() {
            Outcome::Interrupted { step } => step,
            outcome => panic!("{outcome:?}"),
        }
    };
    assert_eq!(stopped(), 0);
    assert!(!runs.exists(), "nothing is written before the data is read");
    // one that has begun says what is saved
    assert_eq!(run(&config, &runs, Some(3)), None);
    assert_eq!(stopped(), 3);
}

#[test]
fn a_run_that_diverges_is_an_error_and_leaves_no_summary() {
    let mut config = config("hash");
    config.train.lr = 1e30;
    config.train.clip_norm = 0.0;
    config.train.warmup_steps = 0;
    let runs = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let device = Device::flex();
    let result = train(&config, &device, &options(runs.path()), &mut Silent, &stop);
    assert!(matches!(result, Err(RunError::Diverged { .. })));
    assert!(
        !RunFolder::new(run_folder(&config, runs.path()))
            .summary()
            .exists()
    );
}

#[test]
fn a_run_starts_from_the_weights_of_another() {
    let mut config = config("switch");
    let runs = tempfile::tempdir().unwrap();
    let first = run(&config, runs.path(), None).unwrap();
    let folder = run_folder(&config, runs.path());

    let mut longer = config.clone();
    longer.train.steps = 20;
    assert_eq!(
        shorter_run(&longer, runs.path()),
        Some((folder.clone(), 12))
    );
    config.train.lr = 1e-4;
    assert_eq!(shorter_run(&config, runs.path()), None);

    let checkpoint = checkpoint_path(&folder).unwrap();
    assert!(checkpoint.ends_with("checkpoints/step-12"));
    longer.train.from = checkpoint.display().to_string();
    longer.train.lr = 1e-12;
    longer.train.keep = Keep::All;
    let second = run(&longer, runs.path(), None).unwrap();
    assert_ne!(first.run, second.run);
    let (a, b) = (first.validation.score(), second.validation.score());
    assert!((a - b).abs() < 1e-4, "{a} and {b}");
    let kept = RunFolder::new(run_folder(&longer, runs.path())).checkpoint_steps();
    assert_eq!(kept.unwrap(), [5, 10, 15, 20]);

    let ModelConfig::Mixtral(model) = &mut longer.model else {
        panic!("the configured family");
    };
    model.d_model = 32;
    let stop = AtomicBool::new(false);
    let device = Device::flex();
    let error = train(&longer, &device, &options(runs.path()), &mut Silent, &stop).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`embedding.weight` is [256, 16] there and [256, 32] here"),
        "{text}"
    );
}
