//! The state of routers that is not trained by gradients moves once a step, by the whole step's load, and
//! at no other time.
#![allow(clippy::unwrap_used)]

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use moe_parallel::Mesh;
use moe_train::config::RunConfig;
use moe_train::run::{Outcome, RunOptions, Silent, Summary, Trainer, train};
use moe_train::task::TaskData;
use std::sync::atomic::AtomicBool;

const ROUTERS: [&str; 3] = ["deepseek_v3", "loss_free", "quantile"];
const SPEED: f32 = 0.125; // exact in binary

fn config(router: &str) -> RunConfig {
    let name = format!("router.name={router}");
    let speed = format!("router.bias_update_speed={SPEED}");
    let mut overrides = vec![
        &name,
        "model.d_model=16",
        "model.n_layers=2",
        "attention.n_heads=2",
        "attention.n_kv_heads=1",
        "experts.n_experts=4",
        "experts.d_expert=16",
        "train.steps=4",
        "train.batch_size=4",
        "train.seq_length=32",
        "train.warmup_steps=1",
        "train.eval_windows=9",
    ];
    match router {
        "deepseek_v3" | "loss_free" => overrides.push(&speed),
        "soft_moe" => overrides.push("model.allow_leak=true"),
        _ => {}
    }
    RunConfig::of_overrides(&overrides).unwrap()
}

/// The parameters that no gradient trains, of all layers.
fn state(trainer: &Trainer) -> Vec<f32> {
    struct Frozen(Vec<f32>);
    impl ModuleVisitor for Frozen {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !param.is_require_grad() {
                let values = param.val().detach().into_data().convert::<f32>();
                self.0.extend(values.try_into_vec::<f32>().unwrap());
            }
        }
    }
    let mut frozen = Frozen(Vec::new());
    trainer.model.visit(&mut frozen);
    frozen.0
}

/// The state after some steps of micro-batches of a size.
fn stepped(router: &str, steps: usize, batch_size: usize) -> Vec<f32> {
    let mut config = config(router);
    config.train.accumulate = config.train.batch_size / batch_size;
    config.train.batch_size = batch_size;
    let data = TaskData::load(&config, &AtomicBool::new(false)).unwrap();
    let mut batches = data.batches(config.seed, 0, batch_size);
    let mut trainer = Trainer::new(&config, &Device::flex());
    for _ in 0..steps {
        trainer.step(&mut batches).unwrap();
    }
    state(&trainer)
}

#[test]
fn splitting_a_step_into_micro_batches_changes_nothing() {
    for router in ROUTERS {
        let whole = stepped(router, 1, 4);
        assert_eq!(
            whole.len(),
            2 * 4,
            "{router}: a bias of four experts in two layers"
        );
        assert!(whole.iter().any(|&bias| bias != 0.0), "{router} moved");
        assert_eq!(stepped(router, 1, 2), whole, "{router}");
        assert_eq!(stepped(router, 1, 1), whole, "{router}");
    }
}

#[test]
fn a_step_of_several_micro_batches_moves_a_bias_once() {
    for router in ["deepseek_v3", "loss_free"] {
        let biases = stepped(router, 1, 1);
        let moved = [-SPEED, 0.0, SPEED];
        assert!(biases.iter().all(|bias| moved.contains(bias)), "{biases:?}");
    }
}

fn run(config: &RunConfig) -> Summary {
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions {
        runs_dir: folder.path().to_owned(),
        device_name: "flex".to_owned(),
        argv: Vec::new(),
        claim: None,
        mesh: Mesh::one(),
    };
    let stop = AtomicBool::new(false);
    let outcome = train(config, &Device::flex(), &options, &mut Silent, &stop);
    let Outcome::Finished(summary) = outcome.unwrap() else {
        panic!("a new run finishes");
    };
    summary
}

#[test]
fn a_run_counts_the_experts_that_its_tokens_met() {
    let counted = |router: &str| {
        let config = config(router);
        (run(&config).measured, config.account())
    };
    let (measured, account) = counted("mixtral");
    let measured = measured.unwrap();
    assert_eq!(measured.experts_per_token, 2.0);
    assert_eq!(measured.params_active, account.params_active as u64);
    assert_eq!(measured.flops_per_token, account.flops_per_token);

    // two experts a token, but some of those have no network
    let (measured, account) = counted("moe_pp");
    let measured = measured.unwrap();
    let k = measured.experts_per_token;
    assert!(k > 0.0 && k < 2.0, "{k}");
    assert_ne!(measured.params_active, account.params_active as u64);

    // slots are a fixed number
    assert_eq!(counted("soft_moe").0, None);
}

#[test]
fn evaluation_moves_nothing() {
    for router in ROUTERS {
        let mut config = config(router);
        config.train.eval_every = 100;
        let seldom = run(&config);
        config.train.eval_every = 1;
        let often = run(&config);
        assert_eq!(often.lm_loss, seldom.lm_loss, "{router}");
        assert_eq!(often.validation, seldom.validation, "{router}");
    }
}
