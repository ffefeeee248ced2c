//! Runs of several ranks: folders, evaluations and checkpoints are those of one.

use crate::common::{StopAfter, metrics};
use crate::left::config;
use burn::tensor::Device;
use moe_parallel::{Mesh, Threads};
use moe_train::config::RunConfig;
use moe_train::parallel::{dismiss, follow};
use moe_train::run::{Outcome, RunError, RunFolder, RunOptions, run_folder, train};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// Goes on with a run on some ranks until it is done, or until a step.
fn go_on(
    config: &RunConfig,
    runs: &Path,
    (ranks, experts): (usize, usize),
    until: u64,
) -> Result<Outcome, RunError> {
    let end = Mutex::new(None);
    Threads::run(ranks, |world| {
        let mesh = Mesh::new(world, experts).unwrap();
        if !mesh.is_root() {
            return follow(&mesh, &Device::flex());
        }
        let options = RunOptions {
            runs_dir: runs.to_owned(),
            device_name: "flex".to_owned(),
            mesh: mesh.clone(),
            ..RunOptions::default()
        };
        let stop = AtomicBool::new(false);
        let mut observer = StopAfter {
            step: until,
            stop: &stop,
        };
        let outcome = train(config, &Device::flex(), &options, &mut observer, &stop);
        dismiss(&mesh);
        *end.lock().unwrap() = Some(outcome);
    });
    end.into_inner().unwrap().unwrap()
}

/// What a finished run leaves in its folder, without times.
fn folder(config: &RunConfig, runs: &Path) -> [String; 3] {
    let folder = RunFolder::new(run_folder(config, runs));
    let lines: Vec<String> = metrics(config, runs)
        .iter()
        .map(ToString::to_string)
        .collect();
    let step = *folder.checkpoint_steps().unwrap().last().unwrap();
    let model = fs::read(folder.checkpoint(step).join("model.bpk")).unwrap();
    [
        fs::read_to_string(folder.summary()).unwrap(),
        lines.join("\n"),
        weights_of(&model),
    ]
}

/// The tensors of a file by name, in hexadecimal: names that a process draws are left out.
fn weights_of(file: &[u8]) -> String {
    let bytes = burn::tensor::Bytes::from_bytes_vec(file.to_vec());
    let tensors = burn_pack::Reader::from_bytes(bytes).unwrap().into_tensors();
    let mut lines: Vec<String> = tensors
        .unwrap()
        .into_iter()
        .map(|tensor| {
            let (name, _, shape, _, bytes) = tensor.into_parts().unwrap();
            let bytes: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{name} {shape:?} {bytes}")
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

fn check(config: &RunConfig) {
    let [alone, shared] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let end = go_on(config, alone.path(), (1, 1), u64::MAX).unwrap();
    assert!(matches!(end, Outcome::Finished(_)), "{end:?}");
    for (layout, until) in [((1, 1), 2), ((4, 4), 4), ((2, 1), 5), ((4, 2), 7)] {
        let end = go_on(config, shared.path(), layout, until).unwrap();
        let Outcome::Interrupted { step } = end else {
            panic!("{end:?}");
        };
        assert_eq!(step, until);
    }
    let end = go_on(config, shared.path(), (2, 2), u64::MAX).unwrap();
    assert!(matches!(end, Outcome::Finished(_)), "{end:?}");
    let [expected, got] = [alone.path(), shared.path()].map(|runs| folder(config, runs));
    assert_eq!(got[0], expected[0]);
    assert_eq!(got[1], expected[1]);
    assert!(got[2] == expected[2], "weights differ");
}

const STEPS: [&str; 6] = [
    "train.steps=9",
    "train.eval_every=3",
    "train.eval_windows=5",
    "train.final_eval_windows=9",
    "train.log_every=1",
    "train.checkpoint_every=100",
];

#[test]
fn any_number_of_ranks_goes_on_with_what_any_number_has_begun() {
    check(&config("mixtral", "loss_free", &STEPS));
    check(&config("vmoe", "mixtral", &STEPS));
}

#[test]
fn what_cannot_be_shared_out_is_refused_before_anything_is_written() {
    let runs = tempfile::tempdir().unwrap();
    let mut config = config("mixtral", "mixtral", &STEPS);
    config.train.accumulate = 6;
    let error = go_on(&config, runs.path(), (4, 1), u64::MAX).unwrap_err();
    assert!(error.to_string().contains("multiple of 4"), "{error}");
    assert_eq!(fs::read_dir(runs.path()).unwrap().count(), 0);
}
