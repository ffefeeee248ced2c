//! Engines beside one another: `moe agree`.

use crate::place::Place;
use serde_json::Value;
use std::fs;

fn fixture(name: &str) -> String {
    let fixtures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../moe-checkpoint/tests/fixtures"
    );
    format!("{fixtures}/{name}")
}

/// The flips of each cause, of all layers of a comparison.
fn causes(comparison: &Value) -> [u64; 4] {
    let layers = comparison["layers"].as_array().unwrap();
    ["rounding", "earlier", "scores", "selection"].map(|cause| {
        layers
            .iter()
            .map(|layer| layer[cause].as_u64().unwrap())
            .sum()
    })
}

#[test]
fn precisions_and_batches_of_a_configuration_agree_but_for_rounding() {
    let place = Place::new();
    let report = place.json("agree tiny.toml --weights f32,bf16 --batch 1,4 --windows 4");
    assert_eq!(report["reference"], "flex, f32, 1 at a time");
    assert_eq!(report["explained"], true);
    let comparisons = report["comparisons"].as_array().unwrap();
    let engines: Vec<&str> = comparisons
        .iter()
        .map(|c| c["engine"].as_str().unwrap())
        .collect();
    assert_eq!(
        engines,
        [
            "flex, f32, 4 at a time",
            "flex, bf16, 1 at a time",
            "flex, bf16, 4 at a time"
        ]
    );
    for comparison in comparisons {
        // four windows of 32 tokens, in one layer with experts
        assert_eq!(comparison["n_tokens"], 128);
        assert_eq!(causes(comparison)[2..], [0, 0]);
        assert_eq!(comparison["text"]["n_tokens"], 32);
    }
    // weights in 16 bits are other weights
    assert!(comparisons[1]["outputs"].as_f64().unwrap() > 1e-4);
}

#[test]
fn blocks_of_few_bits_route_alike_but_for_rounding() {
    let place = Place::new();
    let report = place.json("agree tiny.toml --weights f32,q8,q4 --windows 4");
    assert_eq!(report["explained"], true);
    let comparisons = report["comparisons"].as_array().unwrap();
    let outputs: Vec<f64> = comparisons
        .iter()
        .map(|c| c["outputs"].as_f64().unwrap())
        .collect();
    // four bits are coarser than eight, and both are other weights
    assert!(outputs[0] > 1e-4 && outputs[1] > outputs[0], "{outputs:?}");
}

#[test]
fn runs_and_published_checkpoints_are_compared_and_drawn() {
    let place = Place::new();
    assert_eq!(place.moe("train tiny.toml train.steps=4").code, 0);
    let folder = place.run_folder("runs");
    let folder = folder
        .strip_prefix(place.dir.path())
        .unwrap()
        .display()
        .to_string();
    let ended = place.moe(&format!(
        "agree {folder} --batch 1,8 --windows 4 --svg agree.svg"
    ));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.contains("step 4: 4 windows of 32 tokens"),
        "{}",
        ended.stdout
    );
    let picture = fs::read_to_string(place.path("agree.svg")).unwrap();
    assert!(picture.contains("made by moe agree") && picture.contains("gap of the scores"));

    fs::write(place.path("words.txt"), "1 15 7 3 9 11 2 8").unwrap();
    let published = fixture("dsv3_groups_yarn");
    for text in ["", " --text words.txt"] {
        let report = place.json(&format!(
            "agree {published} --weights f32,bf16 --windows 2{text}"
        ));
        assert_eq!(causes(&report["comparisons"][0])[2..], [0, 0]);
    }
}

#[test]
fn images_and_pairs_are_compared() {
    let place = Place::new();
    for config in ["vmoe-digits", "switch-spans"] {
        let config = format!(
            concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/{}.toml"),
            config
        );
        let ended = place.moe(&format!(
            "agree {config} --device flex --device flex --batch 32 --windows 64"
        ));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(
            ended.stdout.contains("no token asks for other experts"),
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let place = Place::new();
    let configs = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");
    let pairs = fixture("switch_capacity");
    for (line, words) in [
        (
            "agree tiny.toml".to_owned(),
            "one engine agrees with itself",
        ),
        (
            "agree tiny.toml --batch 1,2,4 --svg a.svg".to_owned(),
            "--svg draws two engines",
        ),
        (
            "agree tiny.toml --batch 1,2 --text x".to_owned(),
            "--text is read by a published checkpoint",
        ),
        (
            "agree tiny.toml --batch 0,2".to_owned(),
            "0 is not in 1..=4096",
        ),
        (
            "agree nowhere --batch 1,2".to_owned(),
            "there is no run at `nowhere`",
        ),
        (
            "agree tiny.toml --device flex --device cuda".to_owned(),
            "cuda",
        ),
        (
            format!("agree {configs}/vmoe-digits.toml --weights f32,bf16"),
            "only decoders",
        ),
        (
            format!("agree {configs}/vmoe-digits.toml --batch 8,64"),
            "images are routed together",
        ),
        (
            format!("agree {configs}/switch-spans.toml --batch 1,2"),
            "pairs are padded",
        ),
        (
            format!("agree {pairs} --batch 1,2"),
            "of published checkpoints decoders are compared",
        ),
    ] {
        let ended = place.moe(&line);
        assert_eq!(ended.code, 2, "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{line}: {}", ended.stderr);
    }
    assert_eq!(place.entries(), ["text", "tiny.toml"]);
}
