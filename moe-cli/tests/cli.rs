//! The command line as its users meet it: the built program in an empty folder.

#![allow(clippy::unwrap_used)]

#[path = "cli/ablate.rs"]
mod ablate;
#[path = "cli/agreement.rs"]
mod agreement;
#[path = "cli/analysis.rs"]
mod analysis;
#[path = "cli/claims.rs"]
mod claims;
#[path = "cli/cluster.rs"]
mod cluster;
#[path = "cli/compare.rs"]
mod compare;
#[path = "cli/corpora.rs"]
mod corpora;
#[path = "cli/data.rs"]
mod data;
#[path = "cli/kills.rs"]
mod kills;
#[path = "cli/markup.rs"]
mod markup;
#[path = "cli/matching.rs"]
mod matching;
#[path = "cli/pages.rs"]
mod pages;
#[path = "cli/place.rs"]
mod place;
#[path = "cli/published.rs"]
mod published;
#[path = "cli/ranks.rs"]
mod ranks;
#[path = "cli/runs.rs"]
mod runs;
#[path = "cli/runs_folder.rs"]
mod runs_folder;
#[path = "cli/score.rs"]
mod score;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "cli/synced.rs"]
mod synced;
#[path = "cli/targets.rs"]
mod targets;
#[path = "cli/traces.rs"]
mod traces;
#[path = "cli/vision.rs"]
mod vision;
#[path = "cli/watch.rs"]
mod watch;

use place::{Ended, Place};
use serde_json::json;
use std::fs;
use std::io;
use std::process::Stdio;

/// The commands of `wrong.txt`, each with what stderr must say.
fn wrong_commands() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut cases: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in include_str!("cli/wrong.txt").lines() {
        if let Some(command) = line.strip_prefix("$ moe") {
            cases.push((command.trim(), Vec::new()));
        } else if let (Some(needle), Some(case)) = (line.strip_prefix("  "), cases.last_mut()) {
            case.1.push(needle);
        }
    }
    assert!(cases.len() > 20 && cases.iter().all(|case| !case.1.is_empty()));
    cases
}

/// Tables of results with a fault each.
const TABLES: [(&str, &str); 12] = [
    ("two.csv", "arm,seed,loss\na,0,1\nb,0,2\n"),
    ("empty.csv", ""),
    ("header.csv", "arm,seed,loss\n"),
    ("gap.csv", "arm,seed,loss\na,0,1\nb,0,\n"),
    ("word.csv", "arm,seed,loss\na,0,1\nb,0,\"2,5\"\n"),
    (
        "twice.csv",
        "arm,seed,task,loss\na,0,x,1\na,0,y,1\nb,0,x,2\n",
    ),
    ("ragged.csv", "arm,seed,loss\na,0,1\nb,0\n"),
    ("quote.csv", "arm,seed,loss\na,0,1\n\"b,0,2\n"),
    ("one.csv", "arm,seed,loss\na,0,1\na,1,2\n"),
    ("columns.csv", "arm,seed,loss,loss\na,0,1,1\nb,0,2,2\n"),
    (
        "broken.jsonl",
        "{\"arm\": \"a\", \"loss\": 1}\n{\"arm\": \n",
    ),
    ("score.csv", "arm,seed,score\na,0,1\nb,0,2\n"),
];

#[test]
fn wrong_commands_exit_with_2_say_what_to_do_and_write_nothing() {
    let place = Place::new();
    fs::write(place.path("broken.toml"), "seed = = 1\n").unwrap();
    fs::write(place.path("unknown.toml"), "[train]\nstepz = 3\n").unwrap();
    fs::write(place.path("claim.toml"), "[claim]\nhypothesis = \"h\"\n").unwrap();
    for (name, text) in TABLES {
        fs::write(place.path(name), text).unwrap();
    }
    let before = place.entries();
    for (line, needles) in wrong_commands() {
        let ended = place.moe(line);
        assert_eq!(
            ended.code, 2,
            "moe {line}\n{}{}",
            ended.stdout, ended.stderr
        );
        assert_eq!(ended.stdout, "", "moe {line}");
        for needle in needles {
            assert!(
                ended.stderr.contains(needle),
                "moe {line}: no `{needle}` in\n{}",
                ended.stderr
            );
        }
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        assert_eq!(place.entries(), before, "moe {line}");
    }
}

#[test]
fn a_bare_command_prints_a_short_help() {
    let ended = Place::new().moe("");
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.contains("moe train configs/quickstart.toml"));
    assert!(ended.stdout.lines().count() < 15, "{}", ended.stdout);
}

#[test]
fn errors_begin_with_error() {
    let place = Place::new();
    for line in [
        "train tiny.toml router.topk=2",
        "train tiny.toml --device flexx",
        "eval text",
    ] {
        let stderr = place.moe(line).stderr;
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_backend_that_is_not_built_in_says_how_to_build_it() {
    let ended = Place::new().moe("train tiny.toml --device cuda:1");
    assert_eq!(ended.code, 2);
    let command = "cargo run --release --features cuda -- train tiny.toml --device cuda:1";
    assert!(ended.stderr.contains(command), "{}", ended.stderr);
}

#[test]
fn a_leak_is_accepted_when_allowed_and_marked() {
    let place = Place::new();
    let before = place.entries();
    let line = "train tiny.toml router.name=expert_choice model.allow_leak=true --dry-run";
    let ended = place.moe(line);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.contains("# causal          no"),
        "{}",
        ended.stdout
    );
    assert_eq!(place.json(line)["causal"], false);
    assert_eq!(place.entries(), before);
}

#[test]
fn a_router_that_leaks_in_training_is_called_causal_in_evaluation() {
    let place = Place::new();
    for line in [
        "train tiny.toml router.name=sinkhorn --dry-run",
        "inspect tiny.toml router.name=sinkhorn",
        "ablate tiny.toml -x router.name=mixtral,sinkhorn --dry-run",
    ] {
        let text = place.moe(line).stdout;
        assert!(text.contains("in evaluation"), "{line}: {text}");
        let json = place.json(line);
        let report = match json["arms"].as_array() {
            Some(arms) => &arms[1],
            None => &json,
        };
        assert_eq!(report["causal"], true, "{line}");
        assert_eq!(report["causal_in_training"], false, "{line}");
    }
}

#[test]
fn a_dry_run_prints_a_configuration_that_gives_the_same_run() {
    let place = Place::new();
    let ended = place.moe("train tiny.toml router.name=switch train.lr=3e-3 --seed 5 --dry-run");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(place.entries(), ["text", "tiny.toml"]);
    fs::write(place.path("resolved.toml"), &ended.stdout).unwrap();

    let folder = |line: &str| place.json(line)["folder"].clone();
    let given = folder("train tiny.toml router.name=switch train.lr=3e-3 --seed 5 --dry-run");
    assert!(given.as_str().unwrap().ends_with("/seed-5"), "{given}");
    assert_eq!(given, folder("train resolved.toml --dry-run"));
}

#[test]
fn lists_in_three_formats() {
    let place = Place::new();
    let text = place.moe("list routers").stdout;
    assert!(text.starts_with("name "), "{text}");
    assert!(
        text.lines()
            .any(|line| line.starts_with("expert_choice") && line.contains(" leaks "))
    );

    let markdown = place.moe("list routers --format md").stdout;
    assert!(
        markdown.starts_with(
            "| name | family | causality | rule | paper |\n| --- | --- | --- | --- | --- |\n"
        ),
        "{markdown}"
    );
    let row = "| `mixtral` | token choice | causal | softmax over the k selected logits | \
               [Jiang et al. 2024](https://arxiv.org/abs/2401.04088) |";
    assert!(markdown.lines().any(|line| line == row), "{markdown}");

    let json = place.json("list routers");
    assert_eq!(json[0]["name"], "mixtral");
    assert_eq!(json[0]["paper"]["arxiv"], "2401.04088");
    assert_eq!(json.as_array().unwrap().len() + 2, markdown.lines().count());

    let all = place.json("list");
    for topic in [
        "routers", "models", "experts", "data", "configs", "claims", "backends",
    ] {
        assert!(all[topic].is_array(), "{topic}");
    }
    // nine domains of text, random letters and the digits
    assert_eq!(all["data"].as_array().unwrap().len(), 11);
    assert_eq!(all["backends"][0]["name"], "flex");

    let mut here = place.command("list claims --json");
    here.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let claims = Ended::from(here.output().unwrap());
    let claims: serde_json::Value = serde_json::from_str(&claims.stdout).unwrap();
    assert_eq!(claims[0]["file"], "configs/claims/c1.toml");
    assert_eq!(
        (&claims[0]["arms"], &claims[0]["seeds"]),
        (&9.into(), &5.into())
    );
    let hypothesis = claims[0]["hypothesis"].as_str().unwrap();
    assert!(hypothesis.contains("collapses"), "{hypothesis}");
}

#[cfg(feature = "flex")]
#[test]
fn inspect_counts_what_the_model_has() {
    use burn::module::Module;
    use moe_train::config::RunConfig;

    let place = Place::new();
    for router in ["mixtral", "switch", "deepseek_v3", "noisy_topk", "hash"] {
        let overrides = [format!("router.name={router}")];
        let json = place.json(&format!("inspect tiny.toml {}", overrides[0]));
        for field in [
            "run",
            "params_total",
            "params_active",
            "params_active_head_only",
            "params_active_no_embedding",
            "params_embedding",
            "flops_per_token",
            "flops_per_token_training",
            "kv_bytes_per_token",
            "memory",
        ] {
            assert!(!json[field].is_null(), "{router}: {field}");
        }
        let config = RunConfig::load(&place.path("tiny.toml"), &overrides)
            .unwrap()
            .config;
        let device = burn::tensor::Device::flex();
        assert_eq!(
            json["params_total"],
            config.init_model(&device).num_params(),
            "{router}"
        );
        assert_eq!(json["run"], config.run_name());
    }
    let text = place.moe("inspect tiny.toml").stdout;
    assert!(text.contains("active a token"), "{text}");
    assert_eq!(place.entries(), ["text", "tiny.toml"]);
}

#[test]
fn every_command_has_help() {
    let place = Place::new();
    let commands = [
        "list",
        "inspect",
        "match",
        "claims",
        "claims run",
        "train",
        "eval",
        "figure",
        "generate",
        "verify",
        "convert",
        "ablate",
        "agree",
        "analyze",
        "report",
        "runs",
        "diff",
        "export",
        "laws",
        "audit",
        "bench",
        "bench train",
        "bench attention",
        "bench layer",
        "bench dispatch",
        "bench router",
        "doctor",
        "completions",
    ];
    for command in commands {
        let ended = place.moe(&format!("{command} --help"));
        assert_eq!(ended.code, 0, "{command}");
        assert!(ended.stdout.contains("Usage: moe"), "{}", ended.stdout);
        // only what computes has a device
        let without = [
            "list",
            "match",
            "claims",
            "report",
            "runs",
            "diff",
            "export",
            "bench",
            "completions",
        ];
        let computes = !without.contains(&command);
        let has_device = ended.stdout.contains("--device");
        assert_eq!(has_device, computes, "{}", ended.stdout);
    }
    let help = place.moe("--help").stdout;
    for command in commands.iter().filter(|command| !command.contains(' ')) {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command}: {help}"
        );
    }
}

#[test]
fn a_checkpoint_that_differs_from_its_goldens_exits_with_3() {
    let place = Place::new();
    let fixtures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../moe-checkpoint/tests/fixtures"
    );
    let equal = place.moe(&format!("verify {fixtures}/mixtral_base"));
    assert_eq!(equal.code, 0, "{}", equal.stdout);
    let others = format!("--goldens {fixtures}/mixtral_swa/goldens.safetensors --forward-only");
    let differs = place.moe(&format!("verify {fixtures}/mixtral_base {others}"));
    assert_eq!(differs.code, 3, "{}", differs.stdout);
    assert!(differs.stdout.contains("FAIL"), "{}", differs.stdout);
}

#[test]
fn attention_is_measured_without_a_run() {
    let place = Place::new();
    let json = place.json("bench attention --max-context 128 --steps 1");
    assert_eq!(json["rows"][0]["context"], 128, "{json:#}");
    assert_eq!(json["rows"][0]["mla_cache_bytes"], 128 * 576 * 4);
    let plan = place.moe("bench attention --max-context 300 --dry-run");
    assert!(
        plan.stdout.contains("of 128, 256 tokens"),
        "{}",
        plan.stdout
    );
    let ended = place.moe("bench attention --max-context 128 --steps 1");
    assert!(ended.stdout.contains("MLA absorbed"), "{}", ended.stdout);
    assert_eq!(place.entries(), ["text", "tiny.toml"]);
}

#[test]
fn layers_parts_and_routers_are_measured_without_a_run() {
    let place = Place::new();
    let once = "--rounds 1 --warmup 0";
    let json = place.json(&format!(
        "bench layer --workload E --activation gelu --pass forward {once} --device flex"
    ));
    let result = &json["results"][0];
    assert_eq!(result["pass"], "forward", "{json:#}");
    // the layer, one expert, and Burn's own dense layer
    assert_eq!(result["rows"].as_array().map(Vec::len), Some(3));
    assert!(result["rows"][0]["share_of_read"].as_f64().unwrap() > 0.0);
    assert_eq!(result["comparisons"][0]["to"], "dense");

    let json = place.json("bench layer --workload F8 --activation gelu --memory");
    assert_eq!(json[0]["weights"], 2 * 8 * 512 * 256 * 4, "{json:#}");
    assert!(json[0]["peak"].as_u64() > json[0]["weights"].as_u64());

    let json = place.json(&format!(
        "bench dispatch --workload E --activation gelu {once}"
    ));
    assert_eq!(json[0]["n_rows"], 2, "{json:#}");
    let ended = place.moe(&format!("bench router --router switch,mixtral {once}"));
    assert!(
        ended.stdout.contains("switch, evaluation"),
        "{}",
        ended.stdout
    );

    let plan = place.moe("bench layer --workload A --dry-run");
    assert!(
        plan.stdout.contains("8 experts of 2,048"),
        "{}",
        plan.stdout
    );
    assert_eq!(place.entries(), ["text", "tiny.toml"]);
}

#[test]
fn completions_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = place.moe(&format!("completions {shell}"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stdout.contains("show-experts"), "{shell}");
    }
}

#[test]
fn the_doctor_finds_this_machine_well_and_leaves_nothing() {
    let place = Place::new();
    let report = place.json("doctor");
    assert_eq!(report["ok"], true, "{report:#}");
    let names: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    for name in [
        "burn",
        "threads",
        "SIMD",
        "backends",
        "device",
        "matrix product",
        "runs folder",
        "locks",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(place.entries(), ["text", "tiny.toml"]);
}

#[test]
fn the_doctor_exits_with_1_where_runs_cannot_be_written() {
    let ended = Place::new().moe("doctor --runs /proc/moe");
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.stdout.contains("BROKEN"), "{}", ended.stdout);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let place = Place::new();
    // the reader has left before the program begins, so no write can win a race against it
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut command = place.command("list");
    command.stdout(writer).stderr(Stdio::piped());
    let ended = Ended::from(command.spawn().unwrap().wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn nobody_reading_stderr_changes_nothing() {
    let place = Place::new();
    let code = |line: &str| {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(line);
        command.stdout(Stdio::null()).stderr(writer);
        command.status().unwrap().code()
    };
    assert_eq!(code("list routers"), Some(0));
    assert_eq!(code("train tiny.toml --verbose"), Some(0));
    assert!(place.run_folder("runs").join("summary.json").exists());
    assert_eq!(code("train tiny.tom"), Some(2));
}

#[test]
fn the_laws_of_one_router_are_a_table_with_reasons() {
    let place = Place::new();
    let ended = place.moe("laws --router switch --cases 12");
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("switch  pass"), "{}", ended.stdout);
    assert!(ended.stdout.contains("causality"), "{}", ended.stdout);
    let reason = "n/a  soft-maps: a list of assignments, no slots (switch)";
    assert!(ended.stdout.contains(reason), "{}", ended.stdout);
    assert!(ended.stderr.contains("checking switch"), "{}", ended.stderr);

    let reports = place.json("laws --router hash --cases 4 -q");
    assert_eq!(reports[0]["findings"][0]["law"], "well-formed");
    assert_eq!(reports[0]["findings"][0]["verdict"], "pass");
}

#[test]
fn the_laws_of_executors_are_a_table_of_their_own() {
    let place = Place::new();
    let ended = place.moe("laws --only executors --cases 12 -q");
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.starts_with("executor "), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("grouped f32    pass"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("identical-experts"),
        "{}",
        ended.stdout
    );

    let reports = place.json("laws --only executors --cases 12 -q");
    let names = ["grouped f32", "grouped f64", "reference f32"];
    for (report, name) in reports.as_array().unwrap().iter().zip(names) {
        assert_eq!(
            (&report["kind"], &report["subject"]),
            (&json!("executor"), &json!(name))
        );
    }
    assert_eq!(reports.as_array().unwrap().len(), names.len());
}

#[test]
fn an_audit_finds_no_leak_or_says_where() {
    let place = Place::new();
    let ended = place.moe("audit tiny.toml --steps 2");
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.starts_with("no leak in evaluation"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("no leak in training"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("not below chance"),
        "{}",
        ended.stdout
    );

    for router in ["expert_choice", "soft_moe"] {
        let ended = place.moe(&format!("audit tiny.toml router.name={router} --steps 0"));
        assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
        assert!(
            ended.stdout.starts_with("LEAK in evaluation"),
            "{}",
            ended.stdout
        );
        assert!(
            ended.stdout.contains("LEAK in training"),
            "{}",
            ended.stdout
        );
        assert!(ended.stdout.contains("rerouted tokens"), "{}", ended.stdout);
    }
}

#[test]
fn an_audit_names_a_leak_of_training_alone_and_lets_a_declared_one_pass() {
    let place = Place::new();
    let line = "audit tiny.toml router.name=base --steps 0";
    let ended = place.moe(line);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.starts_with("no leak in evaluation"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("LEAK in training"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("declares it"), "{}", ended.stdout);

    let audit = &place.json(line)["audit"];
    assert_eq!(audit["evaluation"]["logits"], 0.0);
    assert!(
        audit["training"]["logits"].as_f64().unwrap() > 0.0,
        "{audit}"
    );
}

#[test]
fn convert_checks_both_ends_before_it_writes_and_when_it_would() {
    let place = Place::new();
    let fixtures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../moe-checkpoint/tests/fixtures"
    );
    let source = format!("{fixtures}/mixtral_swa");
    fs::create_dir(place.path("broken")).unwrap();
    fs::copy(
        format!("{source}/config.json"),
        place.path("broken/config.json"),
    )
    .unwrap();
    let before = place.entries();
    let cases = [
        (format!("convert {source} text"), 2, "exists"),
        (format!("convert {source} tiny.toml/out"), 2, "not a folder"),
        ("convert nothing out".to_owned(), 2, "no checkpoint"),
        ("convert broken out".to_owned(), 1, "model.safetensors"),
    ];
    for (line, code, needle) in cases {
        for line in [format!("{line} --dry-run"), line.clone()] {
            let ended = place.moe(&line);
            assert_eq!(ended.code, code, "{line}: {}", ended.stderr);
            assert!(ended.stderr.contains(needle), "{line}: {}", ended.stderr);
        }
    }
    let ended = place.moe(&format!("convert {source} new/out --dry-run"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(place.entries(), before);
}

#[test]
fn inspect_refuses_what_cannot_be_counted() {
    let place = Place::new();
    let mut config: serde_json::Value = serde_json::from_str(include_str!(
        "../../moe-checkpoint/src/published/known/mixtral-8x7b.json"
    ))
    .unwrap();
    fs::create_dir(place.path("edited")).unwrap();
    let edits = [
        ("num_experts_per_tok", 9, "9"),
        ("num_key_value_heads", 5, "5"),
        ("intermediate_size", 1 << 20, ""),
        ("num_hidden_layers", 1 << 20, "num_hidden_layers x"),
    ];
    for (key, value, needle) in edits {
        let before = config[key].clone();
        config[key] = value.into();
        fs::write(place.path("edited/config.json"), config.to_string()).unwrap();
        let ended = place.moe("inspect edited");
        if needle.is_empty() {
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            continue; // large, and counted
        }
        config[key] = before;
        assert_eq!(ended.code, 2, "{key}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(needle), "{}", ended.stderr);
    }
    let ended = place.moe("inspect deepseek-v3 --seq-length 18446744073709551615");
    assert_eq!(ended.code, 2, "{}", ended.stdout);
    assert!(ended.stderr.contains("seq_length"), "{}", ended.stderr);
}
