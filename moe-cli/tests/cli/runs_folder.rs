//! The runs folder: listed, compared and exported.

use crate::place::Place;
use moe_train::run::RunFolder;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A place with two runs of two steps, their folders by name of the router.
fn trained() -> (Place, [PathBuf; 2]) {
    let place = Place::new();
    let folders = ["mixtral", "switch"].map(|router| {
        let line = format!("train tiny.toml train.steps=2 train.log_every=1 router.name={router}");
        let json = place.json(&line);
        PathBuf::from(json["folder"].as_str().unwrap())
    });
    (place, folders)
}

/// A file of a run.
fn at(place: &Place, folder: &Path, file: &str) -> PathBuf {
    place.dir.path().join(folder).join(file)
}

fn name(folder: &Path) -> String {
    let name = folder.parent().unwrap().file_name().unwrap();
    name.to_str().unwrap().to_owned()
}

fn states(list: &Value) -> Vec<&str> {
    let runs = list.as_array().unwrap().iter();
    runs.map(|run| run["state"].as_str().unwrap()).collect()
}

#[test]
fn runs_are_listed_in_three_formats_and_filtered() {
    let (place, [mixtral, switch]) = trained();
    let text = place.moe("runs");
    assert_eq!(text.code, 0, "{}", text.stderr);
    let lines: Vec<&str> = text.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", text.stdout);
    assert!(lines[0].starts_with("name ") && lines[0].ends_with(" size"));
    let words: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(
        words[..4],
        [name(&mixtral).as_str(), "0", "finished", "2/2"]
    );
    assert_eq!(words[5], "bits/byte");
    assert!(text.stderr.contains("report runs -o report.html"));

    let markdown = place.moe("runs --format md").stdout;
    assert!(markdown.starts_with("| name | seed | state | step | score | age | size |\n| --- |"));

    let list = place.json("runs router.name=switch train.lr=0.01");
    assert_eq!(states(&list), ["finished"]);
    let run = &list[0];
    assert_eq!(run["name"], name(&switch));
    assert_eq!(
        (&run["seed"], &run["step"], &run["steps"]),
        (&0.into(), &2.into(), &2.into())
    );
    let summary = fs::read_to_string(at(&place, &switch, "summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(
        run["score"]["value"],
        summary["validation"]["bits_per_byte"]
    );
    assert_eq!(run["score"]["unit"], "bits/byte");
    assert!(run["bytes"].as_u64() > Some(1000) && run["started_at"].as_u64() > Some(0));

    let none = place.moe("runs router.name=swich");
    assert_eq!((none.code, none.stdout.lines().count()), (0, 1));
    let values = "the values of `router.name` are \"mixtral\", \"switch\"";
    assert!(none.stderr.contains(values), "{}", none.stderr);
    let unknown = place.moe("runs router.topk=2");
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""));
    assert!(unknown.stderr.contains("did you mean `router.top_k`?"));
}

#[test]
fn runs_that_are_not_finished_say_how_far_they_came() {
    let (place, [mixtral, switch]) = trained();
    let at = |folder: &Path, file: &str| at(&place, folder, file);
    fs::remove_file(at(&mixtral, "summary.json")).unwrap();
    let state = || states(&place.json("runs router.name=mixtral"))[0].to_owned();
    assert_eq!(state(), "interrupted");
    let lock = RunFolder::new(at(&mixtral, "")).create().unwrap();
    assert_eq!(state(), "training");
    drop(lock);
    let log = fs::read_to_string(at(&mixtral, "log.txt")).unwrap();
    let diverged = format!("{log}step 2: diverged: the loss is NaN\n");
    fs::write(at(&mixtral, "log.txt"), diverged).unwrap();
    assert_eq!(state(), "diverged");

    let config = fs::read_to_string(at(&switch, "config.toml")).unwrap();
    fs::write(
        at(&switch, "config.toml"),
        config.replace("lr = 0.01", "lr = 0.5"),
    )
    .unwrap();
    let ended = place.moe("runs");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("damaged") && ended.stdout.contains("diverged"));
    assert!(ended.stderr.contains("`train.lr`"), "{}", ended.stderr);
    let list = place.json("runs train.lr=0.5");
    assert_eq!(states(&list), ["damaged"]);
    assert!(
        list[0]["reason"]
            .as_str()
            .unwrap()
            .contains("does not belong")
    );
}

#[test]
fn two_runs_or_configurations_are_compared() {
    let (place, [mixtral, switch]) = trained();
    let (a, b) = (mixtral.display(), name(&switch));
    let ended = place.moe(&format!("diff {a} {b}"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let rows: Vec<Vec<&str>> = ended
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0][..2], ["key", a.to_string().as_str()]);
    assert_eq!(rows[1], ["router.name", "mixtral", "switch"]);
    let last = rows.last().unwrap();
    assert_eq!(
        (last[0], last[2], last[4]),
        ("score", "bits/byte", "bits/byte")
    );

    let json = place.json(&format!("diff tiny.toml {a}"));
    let keys: Vec<&str> = json["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["train.steps", "train.log_every"]);
    assert_eq!(
        json["differences"][0]["values"],
        serde_json::json!(["20", "2"])
    );
    let sides = &json["sides"];
    assert_eq!(
        (&sides[0]["kind"], &sides[1]["kind"]),
        (&"configuration".into(), &"run".into())
    );
    assert!(sides[0]["score"].is_null() && sides[1]["score"]["value"].is_f64());

    let same = place.moe(&format!("diff tiny.toml {a}/config.toml"));
    assert!(same.stdout.contains("train.steps"), "{}", same.stdout);
    let same = place.moe("diff tiny.toml tiny.toml");
    assert_eq!(same.code, 0, "{}", same.stderr);
    let words = "no difference: both resolve to the same configuration\n";
    assert_eq!(same.stdout, words);
    fs::remove_file(at(&place, &mixtral, "summary.json")).unwrap();
    let ended = place.moe(&format!("diff {a} {b}"));
    assert!(!ended.stdout.contains("score"), "{}", ended.stdout);
    assert!(ended.stderr.contains("is not finished"), "{}", ended.stderr);
}

/// The number of numbers in a line of metrics, its step left out.
fn count(value: &Value) -> usize {
    match value {
        Value::Number(_) => 1,
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

#[test]
fn a_table_holds_every_number_that_was_logged() {
    let (place, folders) = trained();
    let ended = place.moe("export runs --to csv -o runs.csv");
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, ""),
        "{}",
        ended.stderr
    );
    let table = fs::read_to_string(place.path("runs.csv")).unwrap();
    let mut rows = table.lines();
    assert_eq!(rows.next(), Some("run,seed,step,layer,expert,metric,value"));
    let rows: Vec<&str> = rows.collect();
    let mut numbers = 0;
    for folder in &folders {
        let metrics = fs::read_to_string(at(&place, folder, "metrics.jsonl")).unwrap();
        for line in metrics.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            numbers += count(&line) - 1;
            let (run, step) = (name(folder), &line["step"]);
            let part = if line["kind"] == "train" {
                "train"
            } else {
                "validation"
            };
            let loss = line["loss"].as_f64().unwrap();
            let row = format!("{run},0,{step},,,{part}/loss,{loss:?}");
            assert!(rows.contains(&row.as_str()), "{row}");
            let share = line["layers"][0]["load_share"][3].as_f64().unwrap();
            let start = format!("{run},0,{step},0,3,{part}/load_share,");
            let found = rows.iter().find_map(|row| row.strip_prefix(&start));
            assert_eq!(found.unwrap().parse(), Ok(share));
        }
    }
    assert_eq!(rows.len(), numbers);
    let said = format!("note: {numbers} numbers of 2 runs\n");
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
}

#[test]
fn exports_keep_what_they_did_not_make() {
    let (place, [mixtral, _]) = trained();
    let run = name(&mixtral);
    fs::write(place.path("mine.csv"), "a,b\n1,2\n").unwrap();
    let refused = place.moe("export runs --to csv -o mine.csv");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("add --force"), "{}", refused.stderr);
    let refused = place.moe("export runs --to csv -o runs.txt");
    assert!(
        refused.stderr.contains("this writes .csv"),
        "{}",
        refused.stderr
    );
    let line = format!("export {run} --to csv -o table.csv");
    for ended in [place.moe(&line), place.moe(&line)] {
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    for (out, needle) in [
        ("tiny.toml", "is not a folder"),
        ("runs", "this is where the runs are"),
    ] {
        let refused = place.moe(&format!("export runs --to tensorboard -o {out}"));
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains(needle), "{}", refused.stderr);
    }

    let dry = place.moe("export runs --to tensorboard -o events --dry-run");
    assert!(dry.code == 0 && dry.stderr.contains("would write events/"));
    assert!(!place.path("events").exists());
    let json = place.json("export runs --to tensorboard -o events");
    let files = json["files"].as_array().unwrap();
    let file = format!("events/{run}/seed-0/events.out.tfevents.moe");
    assert_eq!((files.len(), &files[0]), (2, &file.as_str().into()));
    let first = fs::read(place.path(&file)).unwrap();
    assert_eq!(
        first[..8],
        38_u64.to_le_bytes(),
        "the length of the first record"
    );
    assert!(json["numbers"].as_u64() > Some(100), "{json}");
    place.json("export runs --to tensorboard -o events");
    assert_eq!(fs::read(place.path(&file)).unwrap(), first);
    fs::write(place.path(&file), "mine").unwrap();
    let refused = place.moe("export runs --to tensorboard -o events");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert_eq!(fs::read_to_string(place.path(&file)).unwrap(), "mine");
}

#[cfg(target_os = "linux")]
#[test]
fn a_table_can_go_to_a_pipe_and_a_damaged_run_is_not_exported() {
    let (place, [mixtral, _]) = trained();
    let piped = place.moe("export runs --to csv -o /dev/stdout");
    assert_eq!(piped.code, 0, "{}", piped.stderr);
    assert!(piped.stdout.starts_with("run,seed,step,"));
    let metrics = at(&place, &mixtral, "metrics.jsonl");
    let whole = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, whole.replacen("loss", "lass", 1)).unwrap();
    let refused = place.moe("export runs --to csv -o runs.csv");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("metrics.jsonl"),
        "{}",
        refused.stderr
    );
    assert!(!place.path("runs.csv").exists());
}
