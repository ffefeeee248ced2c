//! Results of other programs at the command line: from a table to a verdict.

use crate::place::Place;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Six seeds of two arms: `b` is 0.1 to 0.104 below `a`.
const LOSSES: [(f64, f64); 6] = [
    (2.0, 1.9),
    (2.05, 1.948),
    (2.1, 1.996),
    (2.15, 2.05),
    (2.2, 2.098),
    (2.25, 2.146),
];

/// A table of both arms, a row written by a function.
fn table(header: &str, row: impl Fn(&str, usize, f64) -> String) -> String {
    let rows = LOSSES.iter().enumerate();
    let rows = rows.map(|(seed, (a, b))| row("a", seed, *a) + &row("b", seed, *b));
    format!("{header}\n{}", rows.collect::<String>())
}

fn csv() -> String {
    table("optimizer,seed,val_loss,params", |arm, seed, x| {
        format!("{arm},{seed},{x},1000\n")
    })
}

fn place(files: &[(&str, String)]) -> Place {
    let place = Place::new();
    for (name, text) in files {
        let path = place.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    place
}

const QUESTION: &str = "--arm optimizer --seed seed --metric val_loss";

#[test]
fn a_csv_has_a_verdict() {
    let place = place(&[("r.csv", csv())]);
    let ended = place.moe(&format!("compare r.csv {QUESTION} --matrix"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    // differences -0.1, -0.102, -0.104, -0.1, -0.102, -0.104: -0.102 +- 2.571 * 0.00179 / sqrt 6
    let expected = "\
2 arms, seeds 0, 1, 2, 3, 4, 5; lower val_loss is better.
Baseline a.

arm       val_loss  difference     95 % interval       p  verdict
a    2.125 ± 0.094           -                 -       -  baseline
b    2.023 ± 0.093      -0.102  [-0.104, -0.100]  0.0312  better
";
    assert!(ended.stdout.starts_with(expected), "{}", ended.stdout);
    for words in [
        "exact two-sided sign-flip test, all 2^6 patterns",
        "not known from the table: cost (steps,",
        "if later tokens influence earlier ones",
        "\nequal within",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
}

#[test]
fn documents_and_pictures_say_what_the_table_says() {
    let place = place(&[("r.csv", csv())]);
    let line = format!("compare r.csv {QUESTION} --cost params");
    let report = place.json(&line);
    assert_eq!(report["metric"], "val_loss");
    assert_eq!(report["given"]["costs"], json!(["params"]));
    let arm = &report["arms"][1];
    assert_eq!(arm["verdict"]["kind"], "better");
    assert_eq!(
        arm["seeds"][0],
        json!({"seed": 0, "score": 1.9, "costs": {"params": 1000.0}})
    );
    // nothing is said of what the table does not hold
    for key in ["max_vio", "entropy", "causal", "tokens_per_s"] {
        assert!(arm.get(key).is_none(), "{key}: {arm:#}");
    }
    let before = place.entries();
    let files = "--latex t.tex --md t.md --svg f.svg --title Optimizers";
    let dry = place.moe(&format!("{line} {files} --dry-run"));
    assert!(dry.stderr.contains("would write t.tex"), "{}", dry.stderr);
    assert_eq!(place.entries(), before);
    let ended = place.moe(&format!("{line} {files}"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let read = |name: &str| fs::read_to_string(place.path(name)).unwrap();
    assert!(read("t.tex").contains("arm & val\\_loss & difference"));
    assert!(read("t.md").contains("| arm | val_loss | difference |"));
    assert!(
        read("f.svg").contains(">Optimizers</text>") && read("f.svg").contains(">val_loss</text>")
    );
    assert_eq!(place.moe(&format!("{line} --svg f.pdf")).code, 0);
}

#[test]
fn every_way_to_write_the_same_table_has_the_same_answer() {
    let json = |arm: &str, seed: usize, x: f64| {
        format!("{{\"optimizer\": \"{arm}\", \"seed\": {seed}, \"val_loss\": {x}}}\n")
    };
    let lines = table("", json).trim_start().to_owned();
    let array = format!("[{}]", lines.trim().replace('\n', ","));
    let place = place(&[
        ("r.csv", csv()),
        (
            "bom.csv",
            format!("\u{feff}{}", csv().replace('\n', "\r\n")),
        ),
        ("semicolons.csv", csv().replace(',', ";")),
        ("tabs.tsv", csv().replace(',', "\t")),
        (
            "floats.csv",
            csv().replace(",0,", ",0.0,").replace(",1,", ", 1.0 ,"),
        ),
        ("r.jsonl", lines),
        ("r.json", array),
    ]);
    let answer = |file: &str| place.json(&format!("compare {file} {QUESTION}"))["arms"].clone();
    let expected = answer("r.csv");
    for file in [
        "bom.csv",
        "semicolons.csv",
        "tabs.tsv",
        "floats.csv",
        "r.jsonl",
        "r.json",
    ] {
        assert_eq!(answer(file), expected, "{file}");
    }
}

#[test]
fn other_seeds_are_independent_samples() {
    let other = csv().replace("b,", "b,1");
    let place = place(&[("r.csv", csv()), ("other.csv", other)]);
    let comparison = |line: &str| place.json(line)["arms"][1]["comparison"].clone();
    let paired = comparison(&format!("compare r.csv {QUESTION}"));
    assert!(paired.get("unpaired").is_none(), "{paired:#}");
    let unpaired = comparison(&format!("compare r.csv {QUESTION} --unpaired"));
    assert_eq!(
        comparison(&format!("compare other.csv {QUESTION}")),
        unpaired
    );
    let difference = |found: &Value| found["mean_difference"].as_f64().unwrap();
    assert!((difference(&unpaired) - difference(&paired)).abs() < 1e-12);
    assert_eq!(unpaired["unpaired"]["n_arm"], 6);
    // the spread over seeds hides what pairs show
    let kind = |line: &str| place.json(line)["arms"][1]["verdict"]["kind"].clone();
    assert_eq!(
        kind(&format!("compare other.csv {QUESTION}")),
        "no_difference"
    );
    let text = place.moe(&format!("compare other.csv {QUESTION}")).stdout;
    assert!(text.contains("2 arms, 6 seeds an arm"), "{text}");
    assert!(
        text.contains("as independent samples; interval: Welch's t"),
        "{text}"
    );
    let refused = place.moe(&format!("compare other.csv {QUESTION} --paired"));
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("no seed is in all arms"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_margin_and_a_cost_decide_as_in_an_ablation() {
    let dear = csv().replace("b,3,2.05,1000", "b,3,2.05,1100");
    let place = place(&[("r.csv", csv()), ("dear.csv", dear)]);
    let verdict = |line: &str| place.json(line)["arms"][1]["verdict"].clone();
    let equal = verdict(&format!("compare r.csv {QUESTION} --equal-within 0.2"));
    assert_eq!(equal, json!({"kind": "equal", "margin": 0.2}));
    let worse = verdict(&format!("compare r.csv {QUESTION} --higher"));
    assert_eq!(worse["kind"], "worse");
    let better = verdict(&format!("compare r.csv {QUESTION} --baseline b"));
    assert_eq!(better["kind"], "worse");
    let dear = verdict(&format!("compare dear.csv {QUESTION} --cost params"));
    assert_eq!(dear["kind"], "not_comparable", "{dear}");
    let reason = dear["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("`params` differs by more than 1 %: 1016.6"),
        "{reason}"
    );
}

/// The table of an ablation's own numbers, beside that of the ablation.
#[test]
fn an_ablations_own_numbers_give_its_own_table() {
    let place = Place::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for name in ["c2", "c3", "c4", "c6", "c8"] {
        let [table, claim] = [
            format!("docs/claims/{name}.csv"),
            format!("configs/claims/{name}.toml"),
        ]
        .map(|path| root.join(path).display().to_string());
        // the exit code is that of the claim
        let ablation = place.moe(&format!("ablate {claim} --from-csv {table} -q --json"));
        let ablation: Value = serde_json::from_str(&ablation.stdout).unwrap();
        let compared = place.json(&format!("compare {table}"));
        assert_eq!(compared["arms"], ablation["arms"], "{name}");
        assert_eq!(compared["n_compared"], ablation["n_compared"]);
        let text = place.moe(&format!("compare {table}")).stdout;
        let own = place
            .moe(&format!("ablate {claim} --from-csv {table} -q"))
            .stdout;
        let main = text.split("\n\n").nth(1).unwrap();
        assert!(
            main.contains("verdict") && own.contains(main),
            "{main}\n{own}"
        );
    }
}

/// By named columns too, as those of any other table.
#[test]
fn an_ablations_numbers_by_columns_give_the_same_comparisons() {
    let place = Place::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = root.join("docs/claims/c6.csv").display().to_string();
    let own = place.json(&format!("compare {table}"));
    let given = place.json(&format!("compare {table} --metric loss --where tuning="));
    let arms = |report: &Value| -> Vec<Value> {
        let arms = report["arms"].as_array().unwrap().iter();
        arms.map(|arm| json!([arm["label"], arm["comparison"], arm["verdict"]["kind"]]))
            .collect()
    };
    assert_eq!(arms(&given), arms(&own));
    let remarks = given["given"]["remarks"].to_string();
    assert!(
        remarks.contains("rows, whose `tuning` is not nothing"),
        "{remarks}"
    );
}

#[test]
fn a_run_table_of_wandb_needs_no_editing() {
    let header = "\"Name\",\"State\",\"Notes\",\"User\",\"Tags\",\"Created\",\"Runtime\",\"Sweep\",\"optimizer\",\"seed\",\"val/loss\"";
    let mut export = table(header, |arm, seed, x| {
        format!(
            "\"fluffy-cloud-{seed}{arm}\",\"finished\",\"-\",\"me\",\"\",\"2026-10-01T12:00:00.000Z\",\"60\",\"\",\"{arm}\",\"{seed}\",\"{x}\"\n"
        )
    });
    let place = place(&[("wandb_export.csv", export.clone())]);
    let line = "compare wandb_export.csv --arm optimizer --seed seed --metric val/loss";
    assert_eq!(place.json(line)["arms"][1]["verdict"]["kind"], "better");
    // a run that crashed has numbers, and they are not those of a whole run
    export.push_str(
        "\"dark-sea-9\",\"crashed\",\"-\",\"me\",\"\",\"\",\"5\",\"\",\"b\",\"6\",\"9.5\"\n",
    );
    fs::write(place.path("wandb_export.csv"), export).unwrap();
    let refused = place.moe(line);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    let words = "line 14: the run `dark-sea-9` is `crashed`";
    assert!(refused.stderr.contains(words), "{}", refused.stderr);
    let kept = place.moe(&format!("{line} --where State=finished"));
    assert!(
        kept.stdout
            .contains("left out: 1 of 13 rows, whose `State` is not finished."),
        "{}",
        kept.stdout
    );
}

#[test]
fn a_chart_of_wandb_needs_the_form_of_its_names() {
    let runs: Vec<(String, f64)> = LOSSES
        .iter()
        .enumerate()
        .flat_map(|(seed, (a, b))| [(format!("adam-s{seed}"), *a), (format!("mine-s{seed}"), *b)])
        .collect();
    let columns = |run: &(String, f64)| {
        ["", "__MIN", "__MAX"]
            .map(|end| format!(",\"{} - val/loss{end}\"", run.0))
            .concat()
    };
    let header: String = runs.iter().map(columns).collect();
    let point = |more: f64| -> String {
        runs.iter()
            .map(|(_, x)| format!(",\"{0}\",\"{0}\",\"{0}\"", x + more))
            .collect()
    };
    let chart = format!(
        "\"Step\"{header}\n\"100\"{}\n\"200\"{}\n",
        point(1.0),
        point(0.0)
    );
    let place = place(&[("chart.csv", chart)]);
    let refused = place.moe("compare chart.csv --metric val/loss");
    assert_eq!(refused.code, 2);
    let words = "--names '{arm}-seed{seed}' for `adam-seed3`; the first name here is `adam-s0`";
    assert!(refused.stderr.contains(words), "{}", refused.stderr);
    let report = place.json("compare chart.csv --metric val/loss --names '{arm}-s{seed}'");
    assert_eq!(report["baseline"], "adam");
    assert_eq!(report["arms"][1]["verdict"]["kind"], "better");
    // runs of other lengths would not be comparable
    assert_eq!(report["given"]["costs"], json!(["Step of val/loss"]));
}

/// A result file of lm-eval.
fn evaluated(model: &str, seed: usize, accuracy: f64) -> String {
    json!({
        "results": {"hellaswag": {"alias": "hellaswag", "acc,none": accuracy, "acc_stderr,none": 0.005}},
        "higher_is_better": {"hellaswag": {"acc": true}},
        "config": {"model": "hf", "model_args": format!("pretrained={model}"), "random_seed": seed},
        "model_name": model,
    })
    .to_string()
}

#[test]
fn a_folder_of_lm_eval_needs_no_editing() {
    let files = |name: &dyn Fn(&str, usize) -> String, random_seed: &dyn Fn(usize) -> usize| {
        let mut files: Vec<(String, String)> = Vec::new();
        for (seed, (a, b)) in LOSSES.iter().enumerate() {
            for (arm, x) in [("a", a), ("b", b)] {
                let model = name(arm, seed);
                let path = format!(
                    "out/{}/results_2026-10-0{}T00-00-00.json",
                    model.replace('/', "__"),
                    seed + 1
                );
                files.push((path, evaluated(&model, random_seed(seed), x / 4.0)));
            }
        }
        files
    };
    // one model an arm, evaluated with several seeds
    let by_seed = files(&|arm, _| format!("org/{arm}"), &|seed| seed);
    let by_seed: Vec<(&str, String)> = by_seed
        .iter()
        .map(|(path, text)| (path.as_str(), text.clone()))
        .collect();
    let evaluated = place(&by_seed);
    let report = evaluated.json("compare out --metric hellaswag/acc");
    assert_eq!(
        (&report["goal"], &report["baseline"]),
        (&json!("higher"), &json!("org/a"))
    );
    assert_eq!(report["arms"][1]["verdict"]["kind"], "worse");
    assert!(report["arms"][1]["comparison"].get("unpaired").is_none());
    // several models an arm, evaluated with the usual seed
    let by_name = files(&|arm, seed| format!("org/{arm}-seed{seed}"), &|_| 0);
    let by_name: Vec<(&str, String)> = by_name
        .iter()
        .map(|(path, text)| (path.as_str(), text.clone()))
        .collect();
    let named = place(&by_name);
    let report = named.json("compare out --metric hellaswag/acc --names '{arm}-seed{seed}'");
    assert_eq!(report["arms"][1]["verdict"]["kind"], "worse");
    let asked = named.moe("compare out");
    assert_eq!(asked.code, 2);
    assert!(asked.stderr.contains("`hellaswag/acc`"), "{}", asked.stderr);
}

/// A claim whose table nobody wrote yet keeps the others from nothing.
fn claims_wait_for_their_table(place: &Place, claim: &str) {
    let later = claim.replace("../r.csv", "later.csv");
    for folder in ["mine", "waiting"] {
        fs::create_dir_all(place.path(folder)).unwrap();
        fs::write(place.path(&format!("{folder}/later.toml")), &later).unwrap();
    }
    let listed = place.moe("claims --folder mine --results nowhere");
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    let row = |name: &str| {
        let mut lines = listed.stdout.lines();
        lines.find(|line| line.starts_with(name)).unwrap()
    };
    assert!(row("holds").contains("PASS") && row("later").contains("no table"));
    let next = "compare mine/fails.toml";
    assert!(listed.stderr.contains(next), "{}", listed.stderr);
    let drawn = place.moe("claims --folder waiting --results nowhere -o a.svg");
    assert_eq!(drawn.code, 2);
    let waits = place.moe("claims --folder waiting --results nowhere");
    for said in [&drawn.stderr, &waits.stderr] {
        assert!(
            said.contains("later is decided by waiting/later.csv"),
            "{said}"
        );
        assert!(!said.contains("claims run"), "{said}");
    }
}

#[test]
fn a_claim_is_decided_by_a_table() {
    let rules = "[[rule]]\narms = [\"b\"]\nmetric = \"val_loss\"\nbelow = \"a\"\n";
    let claim = format!(
        "[claim]\nhypothesis = \"b is better\"\nsource = \"us\"\n\
         [results]\ntable = \"../r.csv\"\narm = \"optimizer\"\nseed = \"seed\"\n{rules}"
    );
    let place = place(&[
        ("r.csv", csv()),
        ("mine/holds.toml", claim.clone()),
        ("mine/fails.toml", claim.replace("below", "above")),
    ]);
    let holds = place.moe("compare mine/holds.toml");
    assert_eq!(holds.code, 0, "{}", holds.stderr);
    assert!(
        holds.stdout.contains("Claim: b is better (us)"),
        "{}",
        holds.stdout
    );
    assert!(
        holds
            .stdout
            .contains("PASS      val_loss of `b` is below that of `a`"),
        "{}",
        holds.stdout
    );
    assert!(holds.stdout.ends_with("\nPASS\n"), "{}", holds.stdout);
    assert_eq!(place.moe("compare mine/fails.toml").code, 3);
    let listed = place.json("claims --folder mine --results nowhere");
    let decision = |i: usize| listed[i]["decision"].clone();
    assert_eq!((decision(0), decision(1)), (json!("fail"), json!("pass")));
    let refused = place.moe("ablate mine/holds.toml");
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("moe compare mine/holds.toml"),
        "{}",
        refused.stderr
    );
    claims_wait_for_their_table(&place, &claim);
    let fixed = place.moe("compare mine/holds.toml --lower");
    assert!(
        fixed.stderr.contains("leave out --lower"),
        "{}",
        fixed.stderr
    );
}
