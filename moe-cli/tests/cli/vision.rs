//! Vision models: trained, evaluated as they were not trained, compared, and a claim about that.

use crate::place::Place;
use serde_json::Value;
use std::fs;

/// A vision transformer of a few thousand parameters on the embedded digits.
const VISION: &str = r#"
[model]
family = "vmoe"
d_model = 16
n_layers = 1
patch_size = 4
d_mlp = 16
moe_layers = [0]
group_images = 8
[attention]
n_heads = 2
[experts]
n_experts = 4
d_expert = 16
[router]
name = "vmoe"
top_k = 1
capacity_multiple_of = 1
[train]
steps = 6
batch_size = 8
log_every = 3
eval_every = 6
eval_windows = 50
checkpoint_every = 6
"#;

fn place() -> Place {
    let place = Place::new();
    fs::write(place.path("vision.toml"), VISION).unwrap();
    place
}

fn drop_rate(report: &Value) -> f64 {
    report["layers"][0]["drop_rate"].as_f64().unwrap()
}

#[test]
fn a_run_is_evaluated_at_another_capacity() {
    let place = place();
    for (train, run) in [
        ("train vision.toml", "runs"),
        (
            "train tiny.toml router.name=switch --runs text-runs",
            "text-runs",
        ),
    ] {
        assert_eq!(place.moe(train).code, 0, "{train}");
        let folder = place.run_folder(run);
        let folder = folder.strip_prefix(place.dir.path()).unwrap().display();
        let whole = place.json(&format!("eval {folder}"));
        let tight = place.json(&format!("eval {folder} router.capacity_factor=0.25"));
        // a quarter of the places of a balanced load, 3 of 10, or 2 of 8 in a text
        assert!(
            drop_rate(&tight) > 0.69 && drop_rate(&whole) < 0.6,
            "{tight:#}"
        );
        assert_eq!(tight["overrides"][0], "router.capacity_factor=0.25");
        assert_eq!(place.json(&format!("eval {folder}")), whole);
        let text = place.moe(&format!("eval {folder} router.capacity_factor=0.25"));
        let words = "test part; evaluated with router.capacity_factor=0.25\n";
        assert!(text.stdout.contains(words), "{}", text.stdout);
        let plan = place.json(&format!(
            "eval {folder} router.capacity_factor=0.25 --dry-run"
        ));
        assert_eq!(plan["config"]["router"]["capacity_factor"], 0.25);

        for (key, words) in [
            (
                "train.steps=7",
                "`train.steps=7` cannot change a trained run",
            ),
            ("model.d_model=32", "takes values of [router]"),
            (
                "router.name=hash",
                "other parameters than the run has trained",
            ),
            (
                "router.capacity=1",
                "did you mean `router.capacity_factor`?",
            ),
            ("router.capacity_factor=0.0", "router.capacity_factor = 0"),
        ] {
            let ended = place.moe(&format!("eval {folder} {key}"));
            assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{key}");
            assert!(ended.stderr.contains(words), "{key}: {}", ended.stderr);
        }
    }
}

#[test]
fn routers_of_vision_are_compared_without_leave_to_leak() {
    let place = place();
    let line = "ablate vision.toml -x router.name=vmoe,expert_choice,soft_moe,switch -s 2";
    let report = place.json(line);
    let arms = report["arms"].as_array().unwrap();
    let labels: Vec<&str> = arms
        .iter()
        .map(|arm| arm["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels[0], "router.name=vmoe");
    assert_eq!(labels.len(), 4);
    assert!(arms.iter().all(|arm| arm["causal"] == true), "{report:#}");
    assert_eq!(report["merit"], "accuracy");
}

#[test]
fn a_dense_model_stands_in_the_same_table() {
    let place = place();
    let line = "ablate vision.toml -x 'model={d_mlp=16},{moe_layers=[], d_mlp=16}' -s 1";
    let ended = place.moe(line);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.contains("active parameters\n"),
        "{}",
        ended.stdout
    );
    let arms = place.json(line)["arms"].clone();
    let active = |i: usize| arms[i]["seeds"][0]["params_active"].as_u64().unwrap();
    // the gate alone: 16 x 4
    assert_eq!(active(0) - active(1), 64);
}

/// The order of priority at two capacities that were not trained.
const CLAIM: &str = r#"
base = "vision.toml"
[claim]
hypothesis = "who comes first matters where there is little room"
source = "none"
seeds = 5
sweep = "router.capacity_factor"
[[arm]]
name = "position"
[[arm]]
name = "score"
set = { router.priority = "score" }
[[evaluate]]
name = "C = 1"
set = { router.capacity_factor = 1.0 }
[[evaluate]]
name = "C = 0.5"
set = { router.capacity_factor = 0.5 }
[[evaluate]]
name = "C = 0.1"
set = { router.capacity_factor = 0.1 }
[[rule]]
arms = ["position, C = 0.1"]
metric = "drop_rate"
above = 0.8
"#;

#[test]
fn a_claim_evaluates_each_run_in_several_ways() {
    let place = place();
    fs::write(place.path("claim.toml"), CLAIM).unwrap();
    let plan = place.json("ablate claim.toml --dry-run");
    assert_eq!(
        (&plan["n_runs"], &plan["n_missing"]),
        (&10.into(), &10.into())
    );
    assert_eq!(plan["evaluations"][2], "C = 0.1");

    let report = place.json("ablate claim.toml --svg figure.svg");
    let arms = report["arms"].as_array().unwrap();
    let labels: Vec<&str> = arms
        .iter()
        .map(|arm| arm["label"].as_str().unwrap())
        .collect();
    assert_eq!(
        labels[..3],
        ["position, C = 1", "score, C = 1", "position, C = 0.5"]
    );
    assert!(arms[4]["comparison"].is_null() && arms[4]["verdict"].is_null());
    assert!(arms[5]["comparison"]["p"].is_number(), "{report:#}");
    assert_eq!(report["n_compared"], 3);
    assert_eq!(report["claim"]["decision"], "pass", "{report:#}");
    assert_eq!(report["sweep"]["lines"][1]["label"], "score");
    let figure = fs::read_to_string(place.path("figure.svg")).unwrap();
    // two arms in two panels; no expert is dead anywhere, so that panel is left out
    assert_eq!(figure.matches("<polyline").count(), 4);

    // a score of the table is that of the same evaluation by hand
    let folder = arms_folder(&place, "position");
    let line = format!("eval {folder}/seed-3 --split validation router.capacity_factor=0.5");
    assert_eq!(
        place.json(&line)["accuracy"],
        arms[2]["seeds"][3]["accuracy"]
    );

    let wrong = CLAIM.replace("router.capacity_factor = 0.5", "train.lr = 0.5");
    fs::write(place.path("claim.toml"), wrong).unwrap();
    let ended = place.moe("ablate claim.toml --dry-run");
    assert_eq!(ended.code, 2);
    let words = "arm position, C = 0.5: `train.lr=0.5` cannot change a trained run";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
}

/// The folder of an arm's runs, by the priority in their configuration.
fn arms_folder(place: &Place, priority: &str) -> String {
    let entries = fs::read_dir(place.path("runs")).unwrap();
    let mut folders = entries.map(|entry| entry.unwrap().path());
    let of_arm = |folder: &std::path::PathBuf| {
        let config = fs::read_to_string(folder.join("seed-0/config.toml")).unwrap();
        config.contains(&format!("priority = \"{priority}\""))
    };
    folders.find(of_arm).unwrap().display().to_string()
}
