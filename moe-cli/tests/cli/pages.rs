//! Pages that stand alone, made of tiny runs.

use crate::markup::{check_markup, check_stands_alone};
use crate::place::Place;
use std::fs;
use std::path::PathBuf;

/// A place with two arms of two seeds each.
fn ablated() -> Place {
    let place = Place::new();
    let ended = place.moe("ablate tiny.toml -x router.name=loss_free,mixtral -s 2 train.steps=10");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    place
}

fn runs_of(place: &Place, router: &str) -> PathBuf {
    let mut folders = fs::read_dir(place.path("runs"))
        .unwrap()
        .map(|e| e.unwrap().path());
    let is_of = |path: &PathBuf| path.display().to_string().contains(router);
    folders.find(is_of).unwrap()
}

#[test]
fn a_report_shows_all_runs_and_what_is_missing() {
    let place = ablated();
    let ended = place.moe("report runs -o report.html");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.contains("2 arms, seeds 0, 1"),
        "{}",
        ended.stdout
    );
    let page = fs::read_to_string(place.path("report.html")).unwrap();
    assert!(check_markup(&page) > 300);
    check_stands_alone(&page);
    for part in [
        "Training loss (bits per byte)",
        "<th scope=\"col\" class=\"n\">p</th><th scope=\"col\" class=\"w\">verdict</th>",
        "class=\"scroll wide\" style=\"--width:",
        "640 tokens</title></circle>",
        "router.name=loss_free",
        "MoE layer 0",
        "router.bias_update_speed",
        "ablate tiny.toml -x router.name=loss_free,mixtral -s 2",
        "undecided (needs 6 seeds)",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("What is missing"), "nothing is missing");

    // the same input gives the same bytes, and an own page is replaced
    assert_eq!(place.moe("report runs -o report.html").code, 0);
    assert_eq!(fs::read_to_string(place.path("report.html")).unwrap(), page);

    let loss_free = runs_of(&place, "loss_free");
    fs::remove_file(loss_free.join("seed-1/summary.json")).unwrap();
    let metrics = loss_free.join("seed-1/metrics.jsonl");
    let whole = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, format!("{whole}{{\"kind\": \"tr")).unwrap();
    fs::create_dir(loss_free.join("seed-2")).unwrap();
    let ended = place.moe("report runs -o report.html");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let page = fs::read_to_string(place.path("report.html")).unwrap();
    check_markup(&page);
    for part in [
        "What is missing",
        "not finished: step 10 of 10 was logged, step 10 is saved",
        "seed-2 has not begun: it has no config.toml",
        "1 line of metrics.jsonl cannot be read",
        "router.name=mixtral: seed 1 is not in the table",
        "1 finished, 1 not finished",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(ended.stderr.contains("has not begun"), "{}", ended.stderr);

    // without what the checkpoint knows of, the curves would be others
    fs::write(&metrics, "{\"kind\": \"tr").unwrap();
    let ended = place.moe("report runs -o report.html");
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("metrics.jsonl is damaged"),
        "{}",
        ended.stderr
    );
    assert_eq!(fs::read_to_string(place.path("report.html")).unwrap(), page);
}

#[test]
fn a_report_is_numbers_too() {
    let place = ablated();
    let report = place.json("report runs");
    let arms = report["questions"].as_array().unwrap();
    let mut labels: Vec<&str> = arms
        .iter()
        .filter_map(|arm| arm["label"].as_str())
        .collect();
    labels.sort_unstable();
    assert_eq!(labels, ["router.name=loss_free", "router.name=mixtral"]);
    let run = &arms[0]["runs"][1];
    assert_eq!(
        (run["seed"].as_u64(), &run["state"]["is"]),
        (Some(1), &"finished".into())
    );
    // logged at steps 5 and 10 of 2 windows of 32 tokens
    let curve = &arms[0]["curves"][0];
    assert_eq!(
        (&curve["kind"], curve["points"].as_array().unwrap().len()),
        (&"train_loss".into(), 2)
    );
    assert_eq!(
        (&curve["points"][1]["tokens"], &curve["points"][1]["n_runs"]),
        (&640.into(), &2.into())
    );
    let shares = run["loads"][0]["columns"][1]["share"].as_array().unwrap();
    let sum: f64 = shares.iter().map(|share| share.as_f64().unwrap()).sum();
    assert!(shares.len() == 4 && (sum - 1.0).abs() < 1e-9, "{shares:?}");
    let compared = report["paired"]["table"]["arms"].as_array().unwrap();
    assert_eq!(compared[0]["label"], arms[0]["label"]);
    assert_eq!(compared[1]["label"], arms[1]["label"]);
    assert_eq!(report["differences"][0]["key"], "router.name");
}

#[test]
fn pages_replace_nothing_else() {
    let place = ablated();
    fs::write(place.path("notes.html"), "mine").unwrap();
    let wrong = [
        ("report runs -o notes.html", "was not made by `moe report`"),
        ("report runs -o no/where.html", "there is no folder `no`"),
        ("report runs -o text", "this is a folder"),
        ("report text -o page.html", "`text` holds no run"),
        ("report tiny.toml -o page.html", "`tiny.toml` holds no run"),
        (
            "report nowhere -o page.html",
            "there is nothing at `nowhere`",
        ),
    ];
    for (line, needle) in wrong {
        let ended = place.moe(line);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{line}");
        assert!(ended.stderr.contains(needle), "{line}: {}", ended.stderr);
    }
    assert_eq!(
        fs::read_to_string(place.path("notes.html")).unwrap(),
        "mine"
    );
    assert!(!place.path("page.html").exists());
    let ended = place.moe("report runs -o page.html --dry-run");
    assert!(ended.code == 0 && ended.stderr.contains("would write page.html"));
    assert!(!place.path("page.html").exists());
}
