//! The commands of the guide: those of the page on ablations are run in turn at a small size, the others as they stand or,
//! where they train, as a dry run. What is not run says why.

use crate::page::{commands, guide, read, root};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The size of every run that is trained here, as overrides behind a command's own.
const SMALL: [&str; 10] = [
    "model.d_model=32",
    "train.steps=4",
    "train.warmup_steps=1",
    "train.batch_size=2",
    "train.seq_length=32",
    "train.log_every=2",
    "train.eval_every=4",
    "train.eval_windows=1",
    "train.final_eval_windows=1",
    "train.checkpoint_every=4",
];

/// The page whose commands train here.
const TRAINED: &str = "ablate.md";

/// Words of commands that are not run, each with the reason.
const NOT_RUN: [(&str, &str); 17] = [
    ("arctic", "the page itself writes this family"),
    ("angle", "the page itself writes this router"),
    (
        "claims run",
        "trains for minutes; the tests of claims run small ones",
    ),
    (
        "configs/claims/c1.toml",
        "trains for minutes; a claim's sizes are fixed in its file",
    ),
    (
        "data.path=train.txt",
        "the reader's own file; the tests of data have such ones",
    ),
    (
        "data prepare",
        "reads packages that are fetched from registries; the tests of corpora make such ones",
    ),
    (
        "data.path=corpus",
        "the corpus of these packages; the tests of corpora train on one",
    ),
    (
        "data.path=posts.jsonl",
        "the reader's own file; the tests of data have such ones",
    ),
    (
        "configs/vmoe-fashion.toml",
        "these images are no part of the repository",
    ),
    (
        "--speculative",
        "needs a model that predicts further tokens; the tests of generation have one",
    ),
    (
        "<extra_id_0>",
        "needs a model that fills gaps; the tests of filling have one",
    ),
    (
        "theirs.safetensors",
        "what another engine computed; the tests of traces have such ones",
    ),
    (
        "wandb_export.csv",
        "the reader's own export; the tests of comparisons have such ones",
    ),
    (
        "wandb_chart.csv",
        "the reader's own export; the tests of comparisons have such ones",
    ),
    (
        "lm_eval_results",
        "the reader's own folder; the tests of comparisons have such ones",
    ),
    (
        "SmolLM2",
        "a model that is fetched from a registry; the tests of checkpoints have tiny ones",
    ),
    (
        "--watch",
        "ends when all runs are finished; the tests of watching wait for that",
    ),
];

/// A folder with the configurations, the claims and the results of the repository.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    for folder in ["configs", "docs/claims", "examples/compare"] {
        copy(&root().join(folder), &place.path().join(folder));
    }
    place
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("a copy");
        }
    }
}

/// Runs a command that must succeed, and returns what it printed.
fn moe(place: &Path, arguments: &[String]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moe"));
    let output = command
        .args(arguments)
        .current_dir(place)
        .output()
        .expect("moe runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

/// Trains a small run, and returns the name of its folder.
fn train(place: &Path, router: &str) -> String {
    let words = ["train", "configs/debug.toml", "--json", router];
    let words: Vec<String> = words
        .iter()
        .chain(&SMALL)
        .map(|&word| word.to_owned())
        .collect();
    let report: serde_json::Value = serde_json::from_str(&moe(place, &words)).expect("JSON");
    let folder = Path::new(report["folder"].as_str().expect("a folder"));
    let name = folder.parent().and_then(Path::file_name).expect("a name");
    name.to_string_lossy().into_owned()
}

/// The reason why a command is not run.
fn exception(arguments: &[String]) -> Option<&'static str> {
    let line = arguments.join(" ");
    let found = NOT_RUN.iter().find(|(words, _)| line.contains(words));
    found.map(|(words, _)| *words)
}

#[test]
fn the_commands_of_the_page_on_ablations_run_at_a_small_size() {
    let place = place();
    let page = commands(&read(&root().join("docs/guide").join(TRAINED)));
    assert!(page.len() >= 8, "{page:?}");
    for mut arguments in page {
        assert_eq!(exception(&arguments), None, "{arguments:?}");
        let is_ablation = arguments[0] == "ablate";
        if is_ablation {
            arguments.extend(SMALL.map(str::to_owned));
        }
        let printed = moe(place.path(), &arguments);
        let is_answer = ["verdict", "seeds", "arms", "nearest"]
            .iter()
            .any(|word| printed.contains(word));
        assert!(is_answer, "{arguments:?}: {printed}");
    }
    let figure = fs::read_to_string(place.path().join("figure.svg")).expect("a figure");
    assert!(figure.starts_with("<svg"));
}

#[test]
fn the_commands_of_the_other_pages_run_or_say_why_not() {
    let place = place();
    let names = [
        train(place.path(), "router.name=switch"),
        train(place.path(), "router.name=mixtral"),
    ];
    let mut unused: BTreeSet<&str> = NOT_RUN.iter().map(|(words, _)| *words).collect();
    let pages = guide().into_iter().filter(|page| !page.ends_with(TRAINED));
    for arguments in pages.flat_map(|page| commands(&read(&page))) {
        if let Some(words) = exception(&arguments) {
            unused.remove(words);
            continue;
        }
        // a file of a crate, such as a fixture
        let is_file = |word: &str| word.starts_with("moe-") && root().join(word).exists();
        let here = |word: &String| {
            if is_file(word) {
                root().join(word).display().to_string()
            } else {
                word.replace("NAME", &names[0]).replace("OTHER", &names[1])
            }
        };
        let mut arguments: Vec<String> = arguments.iter().map(here).collect();
        if ["train", "ablate"].contains(&arguments[0].as_str())
            && !arguments.contains(&"--dry-run".to_owned())
        {
            arguments.push("--dry-run".to_owned());
        }
        moe(place.path(), &arguments);
    }
    assert!(unused.is_empty(), "no command of the guide has {unused:?}");
}
