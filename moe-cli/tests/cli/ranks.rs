//! Several processes, as threads of one.

use crate::place::{Place, without_speed};
use moe_train::run::RunFolder;
use std::fs;

fn summary(place: &Place, runs: &str) -> String {
    fs::read_to_string(place.run_folder(runs).join("summary.json")).unwrap()
}

#[test]
fn any_number_of_ranks_makes_the_same_run() {
    let place = Place::new();
    let line = "train tiny.toml train.accumulate=4 train.steps=12";
    place.json(&format!("{line} --runs one"));
    for (runs, ranks) in [
        ("two", "--ranks 2"),
        ("four", "--ranks 4 --expert-parallel 2"),
        ("all", "--ranks 4 --expert-parallel 4"),
    ] {
        place.json(&format!("{line} --runs {runs} {ranks}"));
        assert_eq!(summary(&place, runs), summary(&place, "one"), "{ranks}");
    }
    let manifest = RunFolder::new(place.run_folder("all")).manifest();
    let manifest: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(manifest).unwrap()).unwrap();
    let world = &manifest["world"];
    assert_eq!(
        (&world["ranks"], &world["expert_parallel"]),
        (&4.into(), &4.into())
    );
    // an assignment leaves its rank in 3 of 4 cases: 2 of a token, 32 numbers, to the experts and back
    let sent = world["sent_bytes"].as_f64().unwrap() / world["own_tokens"].as_f64().unwrap();
    assert!(sent > 100.0 && sent < 4.0 * 2.0 * 33.0 * 4.0, "{sent}");

    // a run that one has finished several leave as it is
    let said = place.moe(&format!("{line} --runs one --ranks 2"));
    assert!(said.stderr.contains("finished already"), "{}", said.stderr);
}

#[test]
fn a_run_is_scored_and_an_ablation_made_by_ranks() {
    let place = Place::new();
    let json = place.json("train tiny.toml train.steps=2");
    let folder = json["folder"].as_str().unwrap();
    let alone = place.json(&format!("eval {folder}"));
    assert_eq!(place.json(&format!("eval {folder} --ranks 2")), alone);

    let grid =
        "ablate tiny.toml -x router.name=mixtral,random -s 2 train.accumulate=2 train.steps=3";
    let table = |more: &str| without_speed(place.json(&format!("{grid} {more}")));
    assert_eq!(table("--runs a --ranks 2"), table("--runs b"));
}

#[test]
fn exchanges_are_timed() {
    let place = Place::new();
    let json = place.json("bench exchange --ranks 2 --repetitions 2");
    assert_eq!(json["ranks"], 2);
    assert!(json["link"]["beta"].as_f64().unwrap() > 0.0);
    let text = place.moe("bench exchange --ranks 2 --repetitions 2").stdout;
    assert!(text.contains("--link"), "{text}");
}
