//! The order in which a checkpoint reaches the disk, seen by the calls to the system. No power fails here, so nothing
//! else shows it.

use crate::place::{Ended, Place};
use std::fs;
use std::process::Command;

const LINE: &str = "train tiny.toml train.checkpoint_every=5";

/// Builds the library that notes calls, into the folder of a place.
fn noting(place: &Place) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/system_calls.rs");
    let rustc = std::env::var("RUSTC").unwrap_or("rustc".into());
    let built = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=cdylib", "-o"])
        .arg(place.path("calls.so"))
        .arg(source)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
}

fn run(place: &Place, fail: &str) -> Ended {
    let mut command = place.command(LINE);
    command
        .env("LD_PRELOAD", place.path("calls.so"))
        .env("CALLS", place.path("calls.txt"));
    if !fail.is_empty() {
        command.env("FAIL", fail);
    }
    Ended::from(command.output().unwrap())
}

/// The calls about checkpoints and metrics, with paths from the run's folder on.
fn calls(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path("calls.txt")).unwrap();
    let short = |path: &str| match path.split_once("/seed-0/") {
        Some((_, rest)) => rest.to_owned(),
        None => path.to_owned(),
    };
    let lines = text.lines().map(|line| {
        let words: Vec<String> = line.split(' ').map(short).collect();
        words.join(" ")
    });
    let of_them = |line: &String| line.contains("checkpoints") || line.contains("metrics.jsonl");
    lines.filter(of_them).collect()
}

#[test]
fn a_checkpoint_is_on_the_disk_before_it_has_its_name_and_the_older_one_goes_last() {
    let place = Place::new();
    noting(&place);
    let ended = run(&place, "");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let calls = calls(&place);
    let mut rest = calls.as_slice();
    let mut then = |call: &str| match rest.iter().position(|made| made == call) {
        Some(at) => rest = &rest[at + 1..],
        None => panic!("no `{call}` where it belongs:\n{}", calls.join("\n")),
    };
    for step in [5, 10, 15, 20] {
        // what the state vouches for, by its length
        then("sync metrics.jsonl");
        for name in ["/model.bpk", "/optimizer.bpk", ""] {
            then(&format!("sync checkpoints/.step-{step}{name}"));
        }
        then(&format!(
            "rename checkpoints/.step-{step} checkpoints/step-{step}"
        ));
        then("sync checkpoints");
        if step > 5 {
            let older = step - 5;
            then(&format!(
                "rename checkpoints/step-{older} checkpoints/.step-{older}-old"
            ));
            then(&format!("delete checkpoints/.step-{older}-old/model.bpk"));
        }
    }
}

#[test]
fn a_disk_that_cannot_sync_ends_the_run_and_keeps_what_was_saved() {
    let place = Place::new();
    noting(&place);
    let whole = place.moe(&format!("{LINE} --runs whole"));
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    for path in [".step-10/model.bpk", ".step-10", "metrics.jsonl"] {
        let ended = run(&place, path);
        assert_eq!(ended.code, 1, "{path}: {}", ended.stderr);
        assert!(ended.stderr.contains(path), "{path}: {}", ended.stderr);
        assert!(ended.stderr.contains("os error 5"), "{}", ended.stderr);
        let saved = fs::read_dir(place.run_folder("runs").join("checkpoints")).unwrap();
        let mut names = saved.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.any(|name| name == "step-5"), path != "metrics.jsonl");

        let rest = place.moe(LINE);
        assert_eq!(rest.code, 0, "{}", rest.stderr);
        let summary = |runs| fs::read(place.run_folder(runs).join("summary.json")).unwrap();
        assert_eq!(summary("runs"), summary("whole"));
        fs::remove_dir_all(place.path("runs")).unwrap();
    }
}
