//! `moe eval --data`: texts of one's own, scored by published checkpoints and by runs.

use crate::place::Place;
use serde_json::{Value, json};
use std::fs;

const FIXTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../moe-checkpoint/tests/fixtures/olmoe_base"
);

/// A published model whose tokens are the words `w0` to `w95`, and two texts of 60 and 30 of them.
fn words(place: &Place) {
    fs::create_dir(place.path("olmoe")).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(format!("{FIXTURE}/{file}"), place.path("olmoe").join(file)).unwrap();
    }
    let vocab: serde_json::Map<String, Value> =
        (0..96).map(|id| (format!("w{id}"), json!(id))).collect();
    let tokenizer = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"}});
    fs::write(place.path("olmoe/tokenizer.json"), tokenizer.to_string()).unwrap();
    fs::create_dir(place.path("texts")).unwrap();
    for (name, n) in [("long", 60), ("short", 30)] {
        let text: Vec<String> = (0..n)
            .map(|i| format!("w{}", (i * i + 3 * i) % 96))
            .collect();
        fs::write(place.path(&format!("texts/{name}.txt")), text.join(" ")).unwrap();
    }
}

fn scores(place: &Place, more: &str) -> Value {
    let ended = place.moe(&format!("eval olmoe --data texts --json {more}"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn texts_are_scored_by_domain() {
    let place = Place::new();
    words(&place);
    let found = scores(&place, "--seq-length 16 --stride 8");
    // all tokens but the first of each text
    assert_eq!(found["domains"]["long"]["n_tokens"], 59);
    assert_eq!(found["domains"]["short"]["n_tokens"], 29);
    assert_eq!(found["all"]["n_tokens"], 88);
    let number = |of: &Value, key: &str| of[key].as_f64().unwrap();
    for domain in [
        &found["domains"]["long"],
        &found["domains"]["short"],
        &found["all"],
    ] {
        let nats = number(domain, "perplexity").ln() * number(domain, "n_tokens");
        let bits = nats / 2f64.ln() / number(domain, "n_bytes");
        assert!((bits - number(domain, "bits_per_byte")).abs() < 1e-9);
        assert!((0.0..=1.0).contains(&number(domain, "accuracy")));
    }
    // "w0" is the first word of both
    let long = fs::read_to_string(place.path("texts/long.txt")).unwrap();
    assert_eq!(found["domains"]["long"]["n_bytes"], long.len() - 2);

    let table = place.moe("eval olmoe --data texts --seq-length 16");
    for part in [
        "windows of 16 tokens, 8 apart",
        "perplexity",
        "long",
        "short",
        "all",
    ] {
        assert!(table.stdout.contains(part), "{}", table.stdout);
    }
    // with more text before a token its score differs
    assert_ne!(scores(&place, "--seq-length 16 --stride 1"), found);
}

#[test]
fn an_evaluation_goes_on_where_it_was_left() {
    let place = Place::new();
    words(&place);
    let flags = "--seq-length 16 --progress kept.json";
    let whole = scores(&place, flags);
    let kept = fs::read_to_string(place.path("kept.json")).unwrap();
    // as if it had been stopped before the second text
    let mut half: Value = serde_json::from_str(&kept).unwrap();
    half["domains"].as_array_mut().unwrap().truncate(1);
    fs::write(place.path("kept.json"), half.to_string()).unwrap();
    assert_eq!(scores(&place, flags), whole);
    assert_eq!(fs::read_to_string(place.path("kept.json")).unwrap(), kept);

    let other = place.moe("eval olmoe --data texts --seq-length 8 --progress kept.json");
    assert_eq!(other.code, 2);
    assert!(
        other.stderr.contains("of another evaluation"),
        "{}",
        other.stderr
    );
    assert_eq!(fs::read_to_string(place.path("kept.json")).unwrap(), kept);
    fs::write(place.path("mine.txt"), "mine").unwrap();
    let mine = place.moe("eval olmoe --data texts --progress mine.txt");
    assert_eq!(mine.code, 2);
    assert_eq!(fs::read_to_string(place.path("mine.txt")).unwrap(), "mine");
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let place = Place::new();
    words(&place);
    fs::write(place.path("one.txt"), "w3").unwrap();
    for (line, part) in [
        ("eval olmoe", "name texts with --data"),
        ("eval olmoe --data nowhere.txt", "nowhere.txt"),
        ("eval olmoe --data one.txt", "no token to score"),
        (
            "eval olmoe --data texts --seq-length 1000",
            "made for 256 tokens",
        ),
        (
            "eval olmoe --data texts --seq-length 8 --stride 9",
            "would not be scored",
        ),
        ("eval olmoe --data texts --windows 3", "--windows"),
        ("eval olmoe --stride 3", "--data"),
    ] {
        let ended = place.moe(line);
        assert_eq!(ended.code, 2, "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(part), "{line}: {}", ended.stderr);
    }
    fs::remove_file(place.path("olmoe/tokenizer.json")).unwrap();
    let ids = place.moe("eval olmoe --data texts");
    assert_eq!(ids.code, 2);
    assert!(ids.stderr.contains("no tokenizer"), "{}", ids.stderr);
}
