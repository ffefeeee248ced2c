//! `moe match`: the value with which two configurations cost the same.

use crate::place::{Ended, Place};
use serde_json::{Value, json};

/// One expert in place of four: its width is sought.
const DENSE: &str =
    "match tiny.toml experts.n_experts=1 router.top_k=1 --key experts.d_expert --to tiny.toml";

#[test]
fn a_dense_model_of_equal_parameters_is_that_of_the_arithmetic() {
    let place = Place::new();
    // Of the mixture a token passes a router of 32 x 4, and two experts of 3 matrices of 32 x 16: 128 + 3072. The dense
    // model has a router of 32 x 1 and 3 x 32 = 96 for each of its width: (3200 - 32) / 96 = 33.
    let answer = place.json(DENSE);
    assert_eq!(
        (&answer["value"], &answer["difference_percent"]),
        (&json!(33), &json!(0.0))
    );
    assert_eq!(answer["count"], answer["target"]);
    let neighbours = answer["neighbours"].as_array().unwrap();
    let count = |answer: &Value| answer["count"].as_i64().unwrap();
    assert_eq!(count(&neighbours[1]) - count(&answer), 96);
    assert_eq!(neighbours[0]["value"], 32);
    // In all it has four: (128 + 6144 - 32) / 96 = 65.
    let answer = place.json(&format!("{DENSE} --equal total"));
    assert_eq!(
        (&answer["value"], &answer["difference_percent"]),
        (&json!(65), &json!(0.0))
    );
    // Each parameter is 2 FLOP, of the router too.
    assert_eq!(place.json(&format!("{DENSE} --equal flops"))["value"], 33);
    // The counts are those of `moe inspect`.
    let line = "inspect tiny.toml experts.n_experts=1 router.top_k=1 experts.d_expert=65";
    assert_eq!(place.json(line)["params_total"], answer["count"]);
}

#[test]
fn a_width_that_heads_divide_is_found_among_those_that_are_valid() {
    let place = Place::new();
    // two heads need a width that is a multiple of 4
    let answer = place
        .json("match tiny.toml --key model.d_model --to tiny.toml model.d_model=64 --equal total");
    assert_eq!(
        (&answer["value"], &answer["difference_percent"]),
        (&json!(64), &json!(0.0))
    );
    let neighbours = answer["neighbours"].as_array().unwrap();
    let values: Vec<u64> = neighbours
        .iter()
        .map(|n| n["value"].as_u64().unwrap())
        .collect();
    assert_eq!(values, [60, 68]);
}

#[test]
fn the_value_stands_between_its_neighbours_and_in_the_next_command() {
    let place = Place::new();
    let ended = place.moe(DENSE);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let rows: Vec<Vec<&str>> = ended
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0].join(" "),
        "experts.d_expert active parameters difference (%)"
    );
    assert_eq!((rows[1][0], rows[3][0]), ("32", "34"));
    assert_eq!((rows[2][0], rows[2][3]), ("33", "nearest"));
    let next = "train tiny.toml experts.n_experts=1 router.top_k=1 experts.d_expert=33\n";
    assert!(ended.stderr.ends_with(next), "{}", ended.stderr);
}

#[test]
fn what_is_too_far_off_exits_with_3() {
    let place = Place::new();
    let line = "match tiny.toml --key experts.d_expert=1..4 --to tiny.toml";
    let far = place.moe(line);
    assert_eq!(far.code, 3, "{}", far.stderr);
    assert!(
        far.stderr
            .contains("no value from 1 to 4 comes nearer than "),
        "{}",
        far.stderr
    );
    assert!(!far.stderr.contains("next: "), "{}", far.stderr);
    assert_eq!(place.moe(&format!("{line} --within 90%")).code, 0);
}

#[test]
fn the_arms_of_a_claim_are_matched_to_its_base() {
    let place = Place::new();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/claims/c2.toml");
    let line = |equal: &str| {
        format!(
            "match {file} experts.n_experts=1 router.top_k=1 --key experts.d_expert --to {file} --equal {equal} --json"
        )
    };
    let moe = |equal: &str| {
        let ended: Ended = place.moe(&line(equal));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let set = "as an arm of the claim: set = { experts.n_experts = 1, router.top_k = 1, experts.d_expert = ";
        assert!(ended.stderr.contains(set), "{}", ended.stderr);
        serde_json::from_str::<Value>(&ended.stdout).unwrap()
    };
    // Each of the two layers has 3 x 64 parameters for each of its width, 384 in all. The claim's arms have the first
    // width that is not below the mixture, and the nearest.
    let active = moe("active");
    assert_eq!(
        (&active["value"], &active["count"]),
        (&json!(194), &json!(132_288))
    );
    assert_eq!(active["target"], 132_416);
    let above =
        json!({"value": 195, "count": 132_672, "difference_percent": 100.0 * 256.0 / 132_416.0});
    assert_eq!(active["neighbours"][1], above);
    let total = moe("total");
    assert_eq!(
        (&total["value"], &total["count"]),
        (&json!(770), &json!(353_472))
    );
    assert_eq!(total["target"], 353_600);
}
