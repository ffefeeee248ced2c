//! Claims at the command line: their runs, and what was decided of them.

use crate::place::Place;
use serde_json::{Value, json};
use std::fs;

/// A claim of two arms and five seeds over `tiny.toml`, of a few steps.
fn claim(bound: f64) -> String {
    format!(
        "base = \"../tiny.toml\"\n\
         [claim]\nhypothesis = \"a tiny model learns\"\nsource = \"none\"\nseeds = 5\n\
         [[arm]]\nname = \"plain\"\nset = {{ train.steps = 4 }}\n\
         [[arm]]\nname = \"balanced\"\nset = {{ train.steps = 4, balance.load_balance = 0.5 }}\n\
         [[rule]]\narms = [\"balanced\"]\nmetric = \"loss\"\nbelow = {bound:?}\n\
         [[rule]]\narms = [\"balanced\"]\nmetric = \"loss\"\nnot_above = \"plain\"\nmargin = 5.0\n"
    )
}

/// A place with two claims of which the first holds, and a third that nobody runs.
fn place() -> Place {
    let place = Place::new();
    fs::create_dir(place.path("mine")).unwrap();
    for (name, bound) in [("c2", 20.0), ("c10", 0.5), ("later", 0.5)] {
        fs::write(place.path(&format!("mine/{name}.toml")), claim(bound)).unwrap();
    }
    place
}

const FOLDERS: &str = "--folder mine --results of/mine";

/// The name of each claim with its decision.
fn decisions(lines: &Value) -> Vec<(&str, Option<&str>)> {
    let lines = lines.as_array().unwrap().iter();
    lines
        .map(|line| (line["name"].as_str().unwrap(), line["decision"].as_str()))
        .collect()
}

#[test]
fn claims_are_run_by_name_and_then_listed_with_their_decisions() {
    let place = place();
    // before there are runs, and without a folder of results
    let planned = place.moe(&format!("claims run c2 {FOLDERS} --dry-run"));
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    assert!(!place.path("of").exists());
    let before = place.json(&format!("claims {FOLDERS}"));
    assert_eq!(
        decisions(&before),
        [("c2", None), ("c10", None), ("later", None)]
    );

    // two names in turn, the options before the word `run`: one claim fails, and so does the command
    let ended = place.moe(&format!("claims {FOLDERS} run c2 c10 -j 2"));
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let ends = ["PASS", "FAIL"].map(|end| ended.stdout.find(&format!("\n{end}\n")));
    assert!(ends[0].is_some() && ends[0] < ends[1], "{}", ended.stdout);
    for name in ["c2", "c10"] {
        let table = fs::read_to_string(place.path(&format!("of/mine/{name}.csv"))).unwrap();
        assert_eq!(table.lines().count(), 1 + 2 * 5, "{table}");
        let figure = fs::read_to_string(place.path(&format!("of/mine/{name}.svg"))).unwrap();
        assert!(figure.starts_with("<svg") && figure.contains(">balanced</text>"));
    }

    let lines = place.json(&format!("claims {FOLDERS}"));
    let expected = [("c2", Some("pass")), ("c10", Some("fail")), ("later", None)];
    assert_eq!(decisions(&lines), expected);
    assert_eq!(
        (&lines[0]["runs"], &lines[2]["runs"]),
        (&json!(10), &json!(0))
    );
    let text = place.moe(&format!("claims {FOLDERS}"));
    let row = text.stdout.lines().nth(2).unwrap();
    assert!(row.starts_with("c10") && row.contains("FAIL"), "{row}");
    let next = "ablate mine/c2.toml --from-csv of/mine/c2.csv";
    assert!(text.stderr.contains(next), "{}", text.stderr);

    // the same again trains nothing
    let again = place.moe(&format!("claims run c2 {FOLDERS} -j 2"));
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(!again.stderr.contains("\ndone  "), "{}", again.stderr);
    draws(&place);
}

/// The picture of what was decided.
fn draws(place: &Place) {
    let drawn = place.moe(&format!("claims {FOLDERS} -o effects.svg --dry-run"));
    assert_eq!(drawn.code, 0, "{}", drawn.stderr);
    assert!(!place.path("effects.svg").exists());
    let drawn = place.moe(&format!("claims {FOLDERS} -o effects.svg"));
    assert_eq!(drawn.code, 0, "{}", drawn.stderr);
    let note = "not drawn, for they have no table: later";
    assert!(drawn.stderr.contains(note), "{}", drawn.stderr);
    let figure = fs::read_to_string(place.path("effects.svg")).unwrap();
    let rows = [
        "C2 balanced &lt; 20",
        "C2 balanced \u{2264} plain + 5",
        "C10 balanced &lt; 0.5",
    ];
    let places: Vec<Option<usize>> = rows
        .iter()
        .map(|row| figure.find(&format!(">{row}</text>")))
        .collect();
    assert!(places.is_sorted() && places[0].is_some(), "{figure}");
    for picture in ["effects.png", "effects.pdf"] {
        let drawn = place.moe(&format!("claims {FOLDERS} -o {picture}"));
        assert_eq!(drawn.code, 0, "{}", drawn.stderr);
    }
}

#[test]
fn a_look_ends_a_claim_that_it_decides_and_no_other() {
    let place = place();
    let looked = claim(20.0).replace("seeds = 5\n", "seeds = 7\nlook = 5\n");
    // arms of different steps are not comparable, whatever the number of seeds
    let open = looked.replace("train.steps = 4, balance", "train.steps = 5, balance");
    for (name, text) in [("early", &looked), ("open", &open)] {
        fs::write(place.path(&format!("mine/{name}.toml")), text).unwrap();
    }
    for (name, seeds, word, decision) in [
        ("early", 5, "the claim was decided by the look", "PASS"),
        (
            "open",
            7,
            "the claim was decided at the end",
            "INCONCLUSIVE",
        ),
    ] {
        let ended = place.moe(&format!("claims run {name} {FOLDERS} -j 2"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let text = &ended.stdout;
        assert!(text.contains(&format!("\n{decision}\n")), "{text}");
        assert!(
            text.contains(&format!(
                "Looked at after 5 of 7 seeds, as its file says; {word}."
            )),
            "{text}"
        );
        // sqrt(5 / 7) between the looks: levels above those of one look, and below those of a look at half
        assert!(
            text.contains("Student's t, 96.7 %; for equality 93.2 %"),
            "{text}"
        );
        let table = fs::read_to_string(place.path(&format!("of/mine/{name}.csv"))).unwrap();
        assert_eq!(table.lines().count(), 1 + 2 * seeds, "{table}");
        let again = place.json(&format!("claims {FOLDERS}"));
        let line = again.as_array().unwrap().iter().find(|l| l["name"] == name);
        assert_eq!(line.unwrap()["runs"], json!(2 * seeds));
    }
    // a table of other seeds decides nothing
    let path = place.path("of/mine/early.csv");
    let table = fs::read_to_string(&path).unwrap();
    let is_kept = |line: &&str| line.split(',').nth(3) != Some("4");
    let fewer: Vec<&str> = table.lines().filter(is_kept).collect();
    assert_eq!(fewer.len(), 1 + 2 * 4);
    fs::write(&path, fewer.join("\n")).unwrap();
    let refused = place.moe("ablate mine/early.toml --from-csv of/mine/early.csv");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("the plan's are"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_claim_may_be_about_experts_on_ranks() {
    let place = place();
    // two of four experts, one a rank: each token is on two ranks
    let of_ranks = claim(20.0).replace("seeds = 5\n", "seeds = 5\nranks = 4\n")
        + "[[rule]]\narms = [\"plain\"]\nmetric = \"fan_out\"\nequal = 2.0\nmargin = 0.1\n";
    fs::write(place.path("mine/ranks.toml"), of_ranks).unwrap();
    let ended = place.moe(&format!("claims run ranks {FOLDERS} -j 2"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.contains("bytes/token: sent by a token"),
        "{}",
        ended.stdout
    );
    let table = fs::read_to_string(place.path("of/mine/ranks.csv")).unwrap();
    assert!(
        table.contains(",fan_out,bytes_token,busiest_rank"),
        "{table}"
    );
    // without training, from the table
    let again = place.json(&format!("claims {FOLDERS}"));
    let line = again.as_array().unwrap().iter();
    let line = line.clone().find(|line| line["name"] == "ranks").unwrap();
    assert_eq!(line["decision"], "pass", "{line}");
}

#[test]
fn an_unknown_claim_names_those_there_are_and_makes_nothing() {
    let place = place();
    let before = place.entries();
    let ended = place.moe(&format!("claims run c2 c3 {FOLDERS}"));
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    let words = "there is no claim `c3` in mine; there are c10, c2, later";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert_eq!(place.entries(), before);
}
