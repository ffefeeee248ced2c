//! The method of ablations at the command line: tuning, margins, several processes, tables to take away.

use crate::place::{Ended, Place, without_speed};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const GRID: &str = "ablate tiny.toml -x router.name=mixtral,random router.top_k=2 -s 4";

/// The summaries of all runs by their path.
fn summaries(runs: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in fs::read_dir(runs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        for seed in fs::read_dir(&name)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let path = seed.join("summary.json");
            let key = path.strip_prefix(runs).unwrap().to_owned();
            found.insert(key, fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn two_processes_share_a_grid_and_print_the_same_table() {
    let place = Place::new();
    let start = || {
        let mut command = place.command(&format!("{GRID} --json"));
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        piped.spawn().unwrap()
    };
    let both = [start(), start()].map(|child| Ended::from(child.wait_with_output().unwrap()));
    let done = |ended: &Ended| ended.stderr.matches("\ndone  ").count();
    for ended in &both {
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    assert_eq!(both[0].stdout, both[1].stdout);
    assert_eq!(done(&both[0]) + done(&both[1]), 8, "each run is made once");
}

#[test]
fn jobs_give_the_same_summaries() {
    let place = Place::new();
    let one = place.json(&format!("{GRID} --runs one"));
    let two = place.moe(&format!("{GRID} --runs two -j 2 --json"));
    assert_eq!(two.code, 0, "{}", two.stderr);
    assert_eq!(two.stderr.matches("\ndone  ").count(), 8, "{}", two.stderr);
    let two: Value = serde_json::from_str(&two.stdout).unwrap();
    assert_eq!(without_speed(one), without_speed(two));
    assert_eq!(summaries(&place.path("one")), summaries(&place.path("two")));
}

#[test]
fn a_router_and_its_composition_are_equal() {
    let place = Place::new();
    let line = "ablate tiny.toml -x router.name=mixtral,composed balance.load_balance=0.02 -s 4 --margin 0.005";
    let found = place.json(line);
    // one gate is drawn for both, so they differ by rounding alone
    let arm = &found["arms"][1];
    let difference = arm["comparison"]["mean_difference"].as_f64().unwrap();
    assert!(difference.abs() < 1e-3, "{arm}");
    let text = place.moe(&format!("{line} --matrix")).stdout;
    assert!(text.contains("equal within 0.0050\n"), "{text}");
    assert!(text.contains("\nequal within  "), "{text}");
}

#[test]
fn a_table_of_runs_gives_the_same_answer_without_them() {
    let place = Place::new();
    let line = format!("{GRID} -t train.lr=1e-3,1e-2 --margin 0.01");
    let first = place.json(&format!("{line} --csv a.csv --latex a.tex --md a.md"));
    assert_eq!(first["tuning"]["seeds"], serde_json::json!([1000, 1001]));
    let again = place.json(&format!("{line} --from-csv a.csv --runs nowhere"));
    assert_eq!(again, first);
    assert!(!place.path("nowhere").exists());

    let table = fs::read_to_string(place.path("a.csv")).unwrap();
    // 2 arms of 4 seeds, and 2 arms at 2 values with 2 seeds
    assert_eq!(table.lines().count(), 1 + 8 + 8);
    let latex = fs::read_to_string(place.path("a.tex")).unwrap();
    assert!(latex.starts_with("% made by moe ablate\n"), "{latex}");
    assert!(latex.contains("\\begin{tabular}"), "{latex}");
    let markdown = fs::read_to_string(place.path("a.md")).unwrap();
    assert!(markdown.contains("| router.name |"), "{markdown}");
    // its own files are replaced, others are not
    assert_eq!(place.moe(&format!("{line} --csv a.csv")).code, 0);
    fs::write(place.path("mine.csv"), "a,b\n1,2\n").unwrap();
    let refused = place.moe(&format!("{line} --csv mine.csv"));
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("was not made by `moe ablate`"),
        "{}",
        refused.stderr
    );
}

#[test]
fn an_arm_at_its_own_best_value_gets_another_verdict() {
    // a rate that falls to a twentieth wants a larger one to begin with than a rate that stays
    let place = Place::new();
    let line = "ablate tiny.toml -x train.final_lr=1.0,0.05 -s 6";
    let untuned = place.json(&format!("{line} train.lr=6e-2"));
    let tuned = place.json(&format!("{line} -t train.lr=1e-2,2e-2,4e-2,8e-2"));
    let verdict = |report: &Value| report["arms"][1]["verdict"]["kind"].clone();
    assert_ne!(verdict(&untuned), "worse", "{untuned:#}");
    assert_eq!(verdict(&tuned), "worse", "{tuned:#}");
    let arm = |arm: usize| &tuned["tuning"]["arms"][arm];
    assert_eq!(
        (&arm(0)["chosen"], &arm(1)["chosen"]),
        (&1.into(), &2.into())
    );
    assert_eq!(arm(1)["at_edge"], false);
}

#[test]
fn twice_the_steps_are_worth_twice_the_compute() {
    let place = Place::new();
    let line = "ablate tiny.toml -x train.steps=20,40 -s 6 --scale 0.5,1,2,4 train.eval_every=100 \
                train.checkpoint_every=100";
    let report = place.json(&format!("{line} --csv a.csv"));
    let worth = |i: usize| {
        let worth = &report["scaling"]["worth"][i];
        let end = |name: &str| worth["interval"][name].as_f64().unwrap();
        (worth["factor"].as_f64().unwrap(), end("low"), end("high"))
    };
    for (i, truth) in [(0, 1.0), (1, 2.0)] {
        let (_, low, high) = worth(i);
        assert!(low <= truth && truth <= high, "{truth}: {low} to {high}");
    }
    let text = place.moe(line).stdout;
    assert!(text.contains("\ntrain.steps=40: worth "), "{text}");
    let again = place.json(&format!("{line} --from-csv a.csv --runs nowhere"));
    assert_eq!(again["scaling"], report["scaling"]);
}

#[test]
fn the_same_router_by_other_means_is_equal_within_a_margin() {
    // one group of experts limits nothing
    let place = Place::new();
    let line = "ablate tiny.toml router.name=composed -x router.select=top_k,group_limited \
                --margin 0.005 -s 3";
    let report = place.json(line);
    let verdict = &report["arms"][1]["verdict"];
    assert_eq!(verdict["kind"], "equal", "{report:#}");
    assert_eq!(verdict["margin"], 0.005);
}

#[test]
fn a_plan_says_what_it_cannot_decide() {
    let place = Place::new();
    let plan = place.moe("ablate tiny.toml -x router.name=mixtral,switch -s 3 --dry-run");
    for words in [
        "\nArms differ in: ",
        "router.name mixtral/switch",
        "router.name=switch will not be comparable: active parameters differ by more than 1 %",
        "\nGive all arms the same number of experts a token: write the routers out, as in -x 'router={",
    ] {
        assert!(plan.stdout.contains(words), "{words}: {}", plan.stdout);
    }
    // the plan's own advice makes them comparable
    let written =
        r#"ablate tiny.toml -x 'router={name="mixtral", top_k=1},{name="switch"}' --dry-run"#;
    let plan = place.moe(written);
    assert!(
        !plan.stdout.contains("will not be comparable"),
        "{}",
        plan.stdout
    );
    let plan = place.moe("ablate tiny.toml -x router.name=mixtral,random -s 3 --dry-run");
    let words = "\nGive all arms the same number of experts a token: add router.top_k=2.";
    assert!(plan.stdout.contains(words), "{}", plan.stdout);
    let plan = place.moe(&format!("{} --dry-run", GRID.replace("-s 4", "-s 3")));
    let words = "\n3 seeds cannot reach p <= 0.05 with 1 compared arm; 6 can (-s 6).";
    assert!(plan.stdout.contains(words), "{}", plan.stdout);
    let plan = place.json(&format!("{} --dry-run", GRID.replace("-s 4", "")));
    assert_eq!(plan["seeds"], serde_json::json!([0, 1, 2, 3, 4, 5]));
}

#[test]
fn a_pilot_counts_the_seeds() {
    let place = Place::new();
    let line = "ablate tiny.toml -x router.name=mixtral,random router.top_k=2 --power 0.2";
    let power = place.json(line);
    assert_eq!(power["pilot"], serde_json::json!([0, 1, 2]));
    let arm = &power["arms"][0];
    assert!(arm["std"].as_f64().unwrap() > 0.0, "{power:#}");
    assert!(arm["seeds"].as_u64().is_none_or(|n| n >= 6), "{power:#}");
    let text = place.moe(line).stdout;
    assert!(
        text.contains("Seeds that find a difference of 0.2"),
        "{text}"
    );
}

/// A claim over `tiny.toml`, with more tables and rules.
fn claim(more: &str) -> String {
    format!(
        "base = \"tiny.toml\"\n\
         [claim]\nhypothesis = \"a tiny model learns\"\nsource = \"none\"\nseeds = 5\n\
         [[arm]]\nname = \"none\"\nset = {{ balance.load_balance = 0.0 }}\n\
         [[arm]]\nname = \"some\"\nset = {{ balance.load_balance = 0.1 }}\n\
         [[arm]]\nname = \"much\"\nset = {{ balance.load_balance = 1.0 }}\n{more}"
    )
}

const TREND: &str = "[[rule]]\narms = [\"much\", \"none\", \"some\"]\nmetric = \"max_vio\"\n\
                     trend = \"falling\"\nalong = \"balance.load_balance\"\n";

#[test]
fn a_claim_takes_every_kind_of_rule() {
    let place = Place::new();
    let rules = "[[rule]]\narms = [\"some\"]\nmetric = \"loss\"\nequal = \"none\"\nmargin = 5.0\n\
                 [[rule]]\narms = [\"some\"]\nmetric = \"loss\"\nnot_above = \"none\"\nmargin = 5.0\n\
                 [explored]\nseeds = [7]\nwhat = \"one look\"\n";
    fs::write(place.path("claim.toml"), claim(&format!("{TREND}{rules}"))).unwrap();
    let report = place.json("ablate claim.toml");
    let rules = report["claim"]["rules"].as_array().unwrap();
    assert_eq!(
        rules[0]["rule"],
        "max_vio falls with balance.load_balance over none, some, much"
    );
    assert!(rules[0]["p"].as_f64().unwrap() > 0.0);
    assert_eq!(rules[1]["decision"], "pass", "{report:#}");
    assert_eq!(rules[1]["level"], 0.9);
    assert_eq!(rules[2]["decision"], "pass", "{report:#}");
    assert_eq!(report["claim"]["explored"], "one look (seeds 7)");
    assert_eq!(report["claim"]["runs_of_another_version"], 0);

    // another margin after the runs: the report says so
    let changed = claim(TREND);
    fs::write(place.path("claim.toml"), changed).unwrap();
    let text = place.moe("ablate claim.toml").stdout;
    let words = "THE CLAIM'S FILE HAS CHANGED: 15 runs were made for another version of it.";
    assert!(text.contains(words), "{text}");
}

#[test]
fn a_claim_that_cannot_be_decided_fairly_is_refused() {
    let place = Place::new();
    let refused = |more: &str, line: &str| {
        fs::write(place.path("claim.toml"), claim(more)).unwrap();
        let ended = place.moe(line);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        ended.stderr
    };
    let line = "ablate claim.toml --dry-run";
    let explored = format!("{TREND}[explored]\nseeds = [3]\nwhat = \"one look\"\n");
    let said = refused(&explored, line);
    assert!(
        said.contains("the seed 3 of [explored] is among those of the decision, 0 to 4"),
        "{said}"
    );
    let tuned = format!("{TREND}[tune]\nkey = \"train.lr\"\nvalues = [1e-3, 2e-3]\nseeds = [4]\n");
    let said = refused(&tuned, line);
    assert!(said.contains("the seed 4 of [tune]"), "{said}");
    let said = refused(&TREND.replace("balance.load_balance", "router.name"), line);
    assert!(
        said.contains("a trend along `router.name`: `much` has no number"),
        "{said}"
    );
    let said = refused(&TREND.replace("balance.load_balance", "train.lr"), line);
    assert!(said.contains("`much` and `none` both have 0.01"), "{said}");
    let said = refused(TREND, "ablate claim.toml --margin 0.1");
    assert!(
        said.contains("whose margins are fixed in the file; leave out --margin"),
        "{said}"
    );
}
