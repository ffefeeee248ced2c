//! Weights that are not numbers are never saved over good ones, never loaded and never scored.
#![allow(clippy::unwrap_used)]

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use moe_lab::analyze::{AnalyzeError, AnalyzeOptions, analyze};
use moe_train::config::RunConfig;
use moe_train::data::Split;
use moe_train::run::{
    Diverged, LoadedRun, Outcome, RunError, RunFolder, RunOptions, Silent, Watch, evaluate_run,
    run_folder, train,
};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// The learning rate of the last step is `train.final_lr` times the others'.
fn config(final_lr: f64) -> RunConfig {
    let mut config = RunConfig::of_overrides(&[
        "router.name=mixtral",
        "model.d_model=16",
        "model.n_layers=1",
        "attention.n_heads=2",
        "attention.n_kv_heads=1",
        "experts.n_experts=4",
        "experts.d_expert=16",
        "train.steps=4",
        "train.batch_size=2",
        "train.seq_length=32",
        "train.warmup_steps=3",
        "train.lr=1e-3",
        "train.checkpoint_every=1",
        "train.final_eval_windows=9",
    ])
    .unwrap();
    config.train.final_lr = final_lr;
    config
}

fn run(config: &RunConfig, runs: &Path) -> Result<Outcome, RunError> {
    let options = RunOptions {
        runs_dir: runs.to_owned(),
        device_name: "flex".to_owned(),
        argv: Vec::new(),
        ..RunOptions::default()
    };
    let stop = AtomicBool::new(false);
    train(config, &Device::flex(), &options, &mut Silent, &stop)
}

fn diverged(config: &RunConfig, runs: &Path) -> Diverged {
    let error = run(config, runs).unwrap_err();
    let RunError::Diverged(diverged) = error else {
        panic!("{error}");
    };
    let folder = RunFolder::new(run_folder(config, runs));
    assert!(!folder.summary().exists());
    let kept = folder.checkpoint_steps().unwrap();
    assert_eq!(diverged.kept, kept.last().copied());
    diverged
}

#[test]
fn an_update_that_makes_no_numbers_is_not_saved() {
    let mut config = config(0.05);
    config.train.warmup_steps = 0;
    config.train.lr = 1e308; // infinite in f32
    let runs = tempfile::tempdir().unwrap();
    let first = diverged(&config, runs.path());
    assert_eq!((first.step, first.kept), (1, None));
    let text = first.to_string();
    assert!(text.contains("`embedding.weight`"), "{text}");
    assert!(text.ends_with("nothing was saved yet"), "{text}");
    assert_eq!(diverged(&config, runs.path()), first, "the same again");
}

#[test]
fn a_last_step_with_a_bad_learning_rate_leaves_the_checkpoint_before() {
    let config = config(1e300); // infinite in f32
    let runs = tempfile::tempdir().unwrap();
    let found = diverged(&config, runs.path());
    assert_eq!((found.step, found.kept), (4, Some(3)), "{found}");

    let folder = run_folder(&config, runs.path());
    let loaded = LoadedRun::open(&folder, &Device::flex()).unwrap();
    assert_eq!(loaded.step, 3);
    assert!(score(&loaded).unwrap().is_finite());
}

#[test]
fn a_finished_run_keeps_its_last_checkpoint_alone() {
    let config = config(0.05);
    let runs = tempfile::tempdir().unwrap();
    assert!(matches!(
        run(&config, runs.path()),
        Ok(Outcome::Finished(_))
    ));
    let folder = RunFolder::new(run_folder(&config, runs.path()));
    assert_eq!(folder.checkpoint_steps().unwrap(), [4]);
}

/// Multiplies all weights.
struct Times(f64);

impl ModuleMapper for Times {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor * self.0)
    }
}

fn score(run: &LoadedRun) -> Result<f64, RunError> {
    let mut watch = Watch {
        observer: &mut Silent,
        stop: &AtomicBool::new(false),
    };
    let most = Some(9);
    let metrics = evaluate_run(run, Split::Test, most, &Device::flex(), &mut watch)?;
    Ok(metrics.unwrap().score())
}

#[test]
fn a_score_that_is_not_a_number_is_an_error() {
    let config = config(0.05);
    let runs = tempfile::tempdir().unwrap();
    let _ = run(&config, runs.path()).unwrap();
    let folder = run_folder(&config, runs.path());
    let mut loaded = LoadedRun::open(&folder, &Device::flex()).unwrap();
    assert!(score(&loaded).unwrap().is_finite());
    loaded.model = loaded.model.map(&mut Times(f64::NAN));
    let error = score(&loaded).unwrap_err();
    assert!(matches!(error, RunError::NoScore { .. }), "{error}");
    let options = AnalyzeOptions {
        split: Split::Test,
        most: Some(9),
        capacities: None,
        evaluated_with: Vec::new(),
        communication: None,
        trace: None,
    };
    let error = analyze(&loaded, &options, &Device::flex()).unwrap_err();
    assert!(
        matches!(error, AnalyzeError::Run(RunError::NoScore { .. })),
        "{error}"
    );
}
