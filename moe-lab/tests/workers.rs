//! Runs of an ablation that several processes make, on devices of several kinds.
#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use moe_lab::ablate::{AblationConfig, AblationReport, Executed, Others, Plan, execute};
use moe_lab::runs::Standing;
use moe_train::run::{Hold, Lock, Outcome, RunFolder, RunOptions, Silent, run_folder, train};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

const TINY: &str = r#"
[data]
name = "text"
path = "PATH"
[model]
d_model = 8
n_layers = 1
[attention]
n_heads = 2
n_kv_heads = 1
[experts]
n_experts = 2
d_expert = 8
[router]
name = "mixtral"
top_k = 1
[train]
steps = 2
batch_size = 2
seq_length = 16
warmup_steps = 1
eval_windows = 2
final_eval_windows = 2
"#;

fn plan(folder: &Path) -> Plan {
    let text = folder.join("text.txt");
    fs::write(
        &text,
        "the quick brown fox jumps over a lazy dog. ".repeat(60),
    )
    .unwrap();
    let file = folder.join("tiny.toml");
    fs::write(&file, TINY.replace("PATH", &text.display().to_string())).unwrap();
    let axes = ["train.lr=1e-3,2e-3".to_owned()];
    Plan::new(&file, &[], &axes, Some(2), None).unwrap()
}

fn options(runs: &Path, device: &str) -> RunOptions {
    RunOptions {
        runs_dir: runs.to_owned(),
        device_name: device.to_owned(),
        ..RunOptions::default()
    }
}

fn executed(plan: &Plan, runs: &Path, others: Others) -> Executed {
    execute(
        plan,
        &AblationConfig::default(),
        &Device::flex(),
        &options(runs, "flex"),
        &mut Silent,
        &AtomicBool::new(false),
        others,
    )
    .unwrap()
}

fn complete(executed: Executed) -> AblationReport {
    match executed {
        Executed::Complete(report) => *report,
        other => panic!("{other:?}"),
    }
}

fn held(plan: &Plan, runs: &Path, n: usize) -> Vec<Hold> {
    let folders = plan.runs().take(n).map(|config| run_folder(&config, runs));
    folders
        .map(|folder| RunFolder::new(folder).hold(Lock::Lease).unwrap())
        .collect()
}

#[test]
fn a_worker_makes_what_is_free_from_any_place() {
    for place in [0, 3, u64::MAX] {
        let folder = TempDir::new().unwrap();
        let (plan, runs) = (plan(folder.path()), folder.path().join("runs"));
        let holds = held(&plan, &runs, 3);
        let others = Others::Leave { place };
        let left = executed(&plan, &runs, others);
        assert!(matches!(left, Executed::Left { runs: 3 }), "{left:?}");
        let totals = Standing::read(&plan, &runs).unwrap().totals;
        assert_eq!((totals.finished, totals.running), (1, 3));
        drop(holds);
        let report = complete(executed(&plan, &runs, others));
        assert_eq!((report.arms.len(), report.seeds.len()), (2, 2));
        assert!(report.devices.is_empty(), "{:?}", report.devices);
    }
}

#[test]
fn a_table_over_devices_of_two_kinds_names_them() {
    let folder = TempDir::new().unwrap();
    let (plan, runs) = (plan(folder.path()), folder.path().join("runs"));
    let config = plan.runs().next().unwrap();
    let stop = AtomicBool::new(false);
    let other = options(&runs, "cuda:1");
    let made = train(&config, &Device::flex(), &other, &mut Silent, &stop);
    assert!(matches!(made, Ok(Outcome::Finished(_))));
    let report = complete(executed(&plan, &runs, Others::Await));
    let devices: Vec<&str> = report
        .devices
        .iter()
        .filter_map(|device| device.split(' ').next())
        .collect();
    assert_eq!(devices, ["cuda", "flex"]);
}
