//! Training, scoring, sampling and comparing a tiny model, and being stopped.

use crate::place::{Ended, Place};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The lines of a run's metrics without the one figure that differs from run to run.
fn metrics_without_speed(folder: &Path) -> Vec<Value> {
    let mut lines = lines(&folder.join("metrics.jsonl"));
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("tokens_per_s");
    }
    lines
}

#[test]
fn train_then_eval_then_generate() {
    let place = Place::new();
    let first = place.moe("train tiny.toml");
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(
        first.stderr.contains("step 20/20  loss "),
        "{}",
        first.stderr
    );
    assert!(first.stderr.contains("\nnext: "), "{}", first.stderr);
    assert!(
        first.stdout.contains("validation bits/byte"),
        "{}",
        first.stdout
    );
    assert!(first.stdout.contains("\nenglish ") && first.stdout.contains("\nfrench "));
    let folder = place.run_folder("runs");
    metrics_are_whole(&folder);

    let again = place.moe("train tiny.toml");
    assert_eq!((again.code, &again.stdout), (0, &first.stdout));
    assert!(
        again.stderr.contains("finished already"),
        "{}",
        again.stderr
    );
    assert_eq!(place.json("train tiny.toml")["outcome"], "already_finished");

    let run = folder
        .strip_prefix(place.dir.path())
        .unwrap()
        .display()
        .to_string();
    evaluates(&place, &run);
    generates(&place, &run);
    is_inspected_as_it_was_trained(&place, &run);
}

fn is_inspected_as_it_was_trained(place: &Place, run: &str) {
    let inspected = place.moe(&format!("inspect {run}"));
    assert_eq!(inspected.code, 0, "{}", inspected.stderr);
    let file = place.path(&format!("{run}/config.toml"));
    let text = fs::read_to_string(&file).unwrap();
    let edited = text.replace("\nsteps = 20\n", "\nsteps = 21\n");
    assert_ne!(text, edited);
    fs::write(&file, edited).unwrap();
    let words = "`train.steps` is 20 there and 21 in config.toml";
    let inspected = place.moe(&format!("inspect {run}"));
    assert_eq!((inspected.code, inspected.stdout.as_str()), (1, ""));
    assert!(inspected.stderr.contains(words), "{}", inspected.stderr);
    // the file itself is a configuration as any other
    for command in ["inspect", "audit --steps 0 --trials 1"] {
        let read = place.moe(&format!("{command} {run}/config.toml"));
        assert_eq!(read.code, 0, "{}", read.stderr);
        assert!(
            read.stderr.contains("is read as a configuration"),
            "{}",
            read.stderr
        );
        assert!(read.stderr.contains(words), "{}", read.stderr);
    }
    fs::write(&file, text).unwrap();
    let read = place.moe(&format!("inspect {run}/config.toml"));
    assert!(!read.stderr.contains("is read as"), "{}", read.stderr);
}

fn metrics_are_whole(folder: &Path) {
    let lines = lines(&folder.join("metrics.jsonl"));
    let of =
        |kind: &str| -> Vec<&Value> { lines.iter().filter(|line| line["kind"] == kind).collect() };
    let steps: Vec<u64> = of("train")
        .iter()
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, [5, 10, 15, 20]);
    for line in of("train") {
        for field in [
            "tokens",
            "loss",
            "lm_loss",
            "balance",
            "lr",
            "grad_norm",
            "layers",
            "tokens_per_s",
        ] {
            assert!(!line[field].is_null(), "{field}: {line}");
        }
        assert_eq!(line["layers"][0]["load_share"].as_array().unwrap().len(), 4);
    }
    let last = *of("eval").last().unwrap();
    assert_eq!(
        (last["step"].as_u64(), &last["split"]),
        (Some(20), &Value::from("validation"))
    );
    for field in ["bits_per_byte", "loss", "n_bytes", "domains", "layers"] {
        assert!(!last[field].is_null(), "{field}: {last}");
    }
    for file in [
        "config.toml",
        "manifest.json",
        "summary.json",
        "log.txt",
        "checkpoints/step-20",
    ] {
        assert!(folder.join(file).exists(), "{file}");
    }
}

fn evaluates(place: &Place, run: &str) {
    let summary: Value =
        serde_json::from_slice(&fs::read(place.path(run).join("summary.json")).unwrap()).unwrap();
    let validation = place.json(&format!("eval {run} --split validation"));
    assert_eq!(
        validation["bits_per_byte"],
        summary["validation"]["bits_per_byte"]
    );

    let text = place.moe(&format!("eval {run}"));
    assert_eq!(text.code, 0, "{}", text.stderr);
    for word in ["test bits/byte", "english", "french", "all", "MaxVio"] {
        assert!(text.stdout.contains(word), "{}", text.stdout);
    }
    // a checkpoint, the question's folder, and the name inside the folder of runs are the same run
    let question = Path::new(run).parent().unwrap();
    let name = question.strip_prefix("runs").unwrap();
    for path in [
        &format!("{run}/checkpoints/step-20"),
        &question.display().to_string(),
        &name.display().to_string(),
    ] {
        assert_eq!(
            place.moe(&format!("eval {path}")).stdout,
            text.stdout,
            "{path}"
        );
    }
}

fn generates(place: &Place, run: &str) {
    let greedy = format!("generate {run} -p 'The théâtre' -n 30 --temperature 0");
    let json = place.json(&greedy);
    let tokens = json["tokens"].as_array().unwrap();
    // bytes: é and â have two each
    assert_eq!(
        (tokens.len(), &json["n_prompt_tokens"]),
        (13 + 30, &Value::from(13))
    );
    let text: String = tokens
        .iter()
        .map(|token| token["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        text,
        format!("The théâtre{}", json["text"].as_str().unwrap())
    );
    assert_eq!(tokens[0]["experts"].as_array().unwrap().len(), 1);

    let plain = place.moe(&greedy);
    assert_eq!((plain.code, plain.stdout), (0, format!("{text}\n")));

    let shown = place.moe(&format!(
        "{greedy} --show-experts --html page.html --svg page.svg"
    ));
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(!shown.stdout.contains('\x1b'), "no colour in a pipe");
    assert!(
        shown
            .stdout
            .contains("first expert of each token in layer 0")
    );
    let page = fs::read_to_string(place.path("page.html")).unwrap();
    let picture = fs::read_to_string(place.path("page.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains("prefers-color-scheme"));
    // the model without the place of its folder, which differs from machine to machine
    let caption =
        "/seed-0, step 20: first expert of each token, layer 0 of 1 (counted from 0)</title>";
    assert!(
        picture.contains(caption) && picture.contains(" width=\"100%\""),
        "{picture}"
    );
    let here = place.dir.path().display().to_string();
    assert!(!picture.contains(&here), "{picture}");
    assert!(page.contains("title=\"layer 0: e") && page.contains("prefers-color-scheme"));

    let seeds: Vec<Value> = ["1", "1", "2"]
        .iter()
        .map(|seed| {
            place.json(&format!(
                "generate {run} -p a -n 40 --temperature 2 --seed {seed}"
            ))
        })
        .collect();
    assert_eq!(seeds[0], seeds[1]);
    assert_ne!(seeds[0], seeds[2]);

    let layer = place.moe(&format!("generate {run} -p a --layer 1"));
    assert_eq!(layer.code, 2);
    assert!(layer.stderr.contains("layers 0 to 0"), "{}", layer.stderr);
}

#[test]
fn ablate_is_one_document_and_skips_what_exists() {
    let place = Place::new();
    let line = "ablate tiny.toml -x router.name=mixtral,hash -s 2";
    let plan = place.json(&format!("{line} --dry-run"));
    assert_eq!(
        (&plan["n_runs"], &plan["n_missing"]),
        (&Value::from(4), &Value::from(4))
    );
    assert_eq!(place.entries(), ["text", "tiny.toml"]);

    let first = place.json(line);
    assert_eq!(first["seeds"], serde_json::json!([0, 1]));
    let labels: Vec<&str> = first["arms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arm| arm["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["router.name=mixtral", "router.name=hash"]);
    assert_eq!(place.json(&format!("{line} --dry-run"))["n_missing"], 0);

    let summaries = modified(&place.path("runs"));
    let second = place.moe(line);
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert!(
        !second.stderr.contains("step "),
        "nothing is trained again: {}",
        second.stderr
    );
    assert!(second.stdout.contains("verdict"), "{}", second.stdout);
    assert_eq!(place.json(line), first);
    let (_, next) = second.stderr.split_once(" eval ").unwrap();
    assert!(place.path(next.trim()).is_dir(), "{next}");
    assert_eq!(modified(&place.path("runs")), summaries);
}

#[test]
fn a_table_of_an_ablation_says_what_decides_and_all_if_asked_to() {
    let place = Place::new();
    let line = "ablate tiny.toml -x router.name=mixtral,hash router.top_k=2 -s 2 train.steps=10";
    let short = place.moe(line);
    assert_eq!(short.code, 0, "{}", short.stderr);
    let header = |text: &str, first: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with(first));
        let line = line.unwrap_or_else(|| panic!("no {first}: {text}"));
        line.split("  ")
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(String::from)
            .collect()
    };
    let decides = [
        "loss (bits/byte)",
        "difference",
        "95 % interval",
        "p",
        "verdict",
    ];
    assert_eq!(header(&short.stdout, "router.name")[1..], decides);
    assert!(short.stdout.contains("\nhash "), "{}", short.stdout);
    assert!(short.stdout.contains("tokens/s"), "{}", short.stdout);
    let same = short
        .stdout
        .lines()
        .find(|line| line.starts_with("the same in all arms: "));
    assert!(
        same.is_some_and(|line| line.contains("dropped (%) 0")),
        "{}",
        short.stdout
    );

    let wide = place.moe(&format!("{line} --wide"));
    let names = header(&wide.stdout, "arm");
    assert_eq!(names.last().map(String::as_str), Some("verdict"));
    assert!(names.contains(&"tokens/s".to_owned()) && wide.stdout.contains("\nrouter.name=hash "));
}

#[cfg(unix)]
#[test]
fn tables_fit_a_terminal_and_go_whole_into_a_pipe() {
    let place = Place::new();
    let moe = env!("CARGO_BIN_EXE_moe");
    let line = format!("stty rows 24 cols 80; {moe} list routers -q");
    let shown = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(place.dir.path())
        .output();
    let Ok(shown) = shown else {
        eprintln!("not tested: there is no `script` to make a terminal");
        return;
    };
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("expert_choice"), "{shown}");
    let longest = |text: &str| {
        text.lines()
            .map(|line| line.trim_end().chars().count())
            .max()
    };
    assert!(longest(&shown) <= Some(80), "{shown}");
    assert!(longest(&place.moe("list routers").stdout) > Some(100));
}

#[test]
fn a_longer_run_says_that_a_shorter_one_is_there_and_how_to_start_from_it() {
    let place = Place::new();
    let short = place.moe("train tiny.toml train.steps=10");
    assert_eq!(short.code, 0, "{}", short.stderr);
    let folder = place.run_folder("runs");
    let folder = folder
        .strip_prefix(place.dir.path())
        .unwrap()
        .display()
        .to_string();
    // the plan of a dry run and another seed have nothing to go on from
    assert!(
        !short.stderr.contains("is the same run of"),
        "{}",
        short.stderr
    );
    let other = place.moe("train tiny.toml train.steps=12 --seed 1");
    assert!(
        !other.stderr.contains("is the same run of"),
        "{}",
        other.stderr
    );

    let long = place.moe("train tiny.toml train.steps=20");
    assert_eq!(long.code, 0, "{}", long.stderr);
    for words in [
        format!("{folder} is the same run of 10 steps"),
        format!("`--from {folder}` starts from those weights"),
    ] {
        assert!(long.stderr.contains(&words), "{words}: {}", long.stderr);
    }
    let from = place.moe(&format!("train tiny.toml train.steps=20 --from {folder}"));
    assert_eq!(from.code, 0, "{}", from.stderr);
    assert!(
        !from.stderr.contains("is the same run of"),
        "{}",
        from.stderr
    );
    let runs = fs::read_dir(place.path("runs")).unwrap().count();
    assert_eq!(runs, 4, "10, 12 and 20 steps, and 20 from the 10");
}

#[test]
fn measurements_are_compared_and_nothing_else_is_replaced() {
    let place = Place::new();
    for name in ["before.json", "after.json"] {
        let measured = place.json("bench train tiny.toml --steps 2 --warmup 0");
        fs::write(place.path(name), measured.to_string()).unwrap();
    }
    let changes = place.json("bench compare before.json after.json");
    let compared = changes["compared"].as_array().unwrap();
    assert_eq!(compared.len(), 1, "{changes}");
    assert!(compared[0]["name"].as_str().unwrap().ends_with("step"));
    assert!(compared[0]["ratio"].as_f64().unwrap() > 0.0);
    let text = place.moe("bench compare before.json before.json").stdout;
    assert!(text.contains("0 of 1 measurements"), "{text}");

    let entries = place.entries();
    let tiny = fs::read_to_string(place.path("tiny.toml")).unwrap();
    for (line, says) in [
        ("bench compare tiny.toml after.json", "is no JSON"),
        ("bench compare gone.json after.json", "gone.json"),
        (
            "bench suite tiny.toml -o tiny.toml",
            "no file of measurements",
        ),
        ("bench suite tiny.toml -o gone/new.json", "gone"),
    ] {
        let wrong = place.moe(line);
        assert_eq!(wrong.code, 2, "{line}: {}", wrong.stderr);
        assert!(wrong.stderr.contains(says), "{line}: {}", wrong.stderr);
    }
    let plan = place.moe("bench suite tiny.toml -o new.json --dry-run");
    assert!(
        plan.stdout.contains("would measure 1 configuration"),
        "{}",
        plan.stdout
    );
    assert_eq!(place.entries(), entries);
    assert_eq!(fs::read_to_string(place.path("tiny.toml")).unwrap(), tiny);
}

#[test]
#[cfg(target_os = "linux")]
fn the_memory_of_a_step_is_told() {
    let place = Place::new();
    let command = "bench train tiny.toml --steps 2 --warmup 0 --memory";
    let memory = place.json(command);
    let of = |value: &Value| value.as_u64().unwrap();
    let parts = memory["counted"].as_object().unwrap();
    let counted: u64 = parts.values().map(of).sum();
    // weights, gradients and moments are there at once
    assert!(of(&memory["peak"]) > counted - of(&memory["counted"]["activations_bytes"]));
    let ratio = of(&memory["peak"]) as f64 / counted as f64;
    assert!((memory["ratio"].as_f64().unwrap() - ratio).abs() < 1e-9);
    let text = place.moe(command).stdout;
    assert!(text.contains("peak of the steps"), "{text}");
    let both = place.moe(&format!("{command} --profile"));
    assert_eq!(both.code, 2, "{}", both.stderr);
}

#[test]
fn the_parts_of_a_step_are_told() {
    let place = Place::new();
    let bench = place.json("bench train tiny.toml --steps 2 --warmup 0 --profile");
    let parts = bench["profile"]["parts"].as_array().unwrap();
    let names: Vec<&str> = parts.iter().map(|p| p["part"].as_str().unwrap()).collect();
    let expected = [
        "data",
        "embedding",
        "norms and residual sums",
        "attention",
        "router",
        "experts",
        "head and cross entropy",
        "balance losses and metrics",
        "collecting gradients",
        "clipping",
        "optimizer",
    ];
    assert_eq!(names, expected);
    for part in &parts[1..7] {
        assert!(part["backward_ms"].as_f64().unwrap() > 0.0, "{part}");
    }
    let share: f64 = parts.iter().map(|p| p["share"].as_f64().unwrap()).sum();
    assert!((share - 1.0).abs() < 1e-9, "{share}");
    let [parts_ms, step_ms] = ["parts_ms", "step_ms"].map(|key| bench["profile"][key].as_f64());
    assert!(parts_ms <= step_ms && parts_ms > Some(0.0));
    assert!(place.json("bench train tiny.toml --steps 1")["profile"].is_null());
}

#[test]
fn the_time_of_training_is_told_where_it_was_measured() {
    let place = Place::new();
    let before = place.moe("inspect tiny.toml").stdout;
    assert!(
        before.contains("not measured; `moe bench train tiny.toml` does"),
        "{before}"
    );
    assert!(place.json("inspect tiny.toml")["training_s"].is_null());
    let bench = place.moe("bench train tiny.toml --steps 1 --warmup 0");
    assert!(
        bench
            .stderr
            .contains("all 20 steps of this configuration take about"),
        "{}",
        bench.stderr
    );

    assert_eq!(place.moe("train tiny.toml --seed 3").code, 0);
    let after = place.moe("inspect tiny.toml").stdout;
    let row = after
        .lines()
        .find(|line| line.starts_with("time of training, about"))
        .unwrap();
    assert!(
        row.contains(", by runs/") && row.ends_with("/seed-3"),
        "{row}"
    );
    assert!(place.json("inspect tiny.toml")["training_s"].as_f64() > Some(0.0));
}

#[test]
fn an_ablation_holds_a_dynamic_router_to_what_it_computed() {
    let place = Place::new();
    let line = "ablate tiny.toml -x router.name=mixtral,top_p -s 1";
    let report = place.json(line);
    let measured = &report["arms"][1]["measured"];
    let run = &report["arms"][1]["seeds"][0];
    let k = measured["experts_per_token"].as_f64().unwrap();
    assert!(k > 0.0 && k <= 4.0, "{report:#}");
    // one layer, experts of 3 * 32 * 16 parameters, against the most that the configuration allows
    let configured = run["params_active"].as_f64().unwrap();
    let used = measured["params_active"].as_f64().unwrap();
    let most = (configured - used) / (3.0 * 32.0 * 16.0) + k;
    assert!((most - most.round()).abs() < 1e-3, "{report:#}");
    let text = place.moe(line).stdout;
    assert!(text.contains("experts/token"), "{text}");
    assert!(report["arms"][0]["measured"].is_null(), "{report:#}");
}

#[test]
fn ablate_shows_its_plan_and_what_it_dropped_before_it_trains() {
    let place = Place::new();
    let biased = fs::read_to_string(place.path("tiny.toml")).unwrap();
    let biased = biased.replace("\"mixtral\"", "\"deepseek_v3\"\nbias_update_speed = 1e-2");
    fs::write(place.path("biased.toml"), biased).unwrap();
    let ended = place.moe("ablate biased.toml -x router.name=deepseek_v3,mixtral -s 1");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let (plan, _) = ended.stderr.split_once("\nrun   ").unwrap();
    for words in [
        "note: 2 arms, 1 seed: 2 runs, 2 of them to train, about ",
        "\nrouter.name=deepseek_v3  ",
        "\nnote: router.name=mixtral: ",
        "bias_update_speed",
    ] {
        assert!(format!("\n{plan}").contains(words), "{words}: {plan}");
    }
}

/// When each file below a folder was written.
fn modified(path: &Path) -> BTreeMap<PathBuf, std::time::SystemTime> {
    let mut times = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap().map(|entry| entry.unwrap()) {
        let path = entry.path();
        if path.is_dir() {
            times.extend(modified(&path));
        } else {
            times.insert(path, entry.metadata().unwrap().modified().unwrap());
        }
    }
    times
}

/// A run of a second or more that saves often.
const LONG: &str =
    "train tiny.toml train.steps=1600 train.checkpoint_every=20 train.eval_every=200";

fn start(place: &Place, line: &str) -> Child {
    place
        .command(line)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the run has a checkpoint of a step beyond the first.
fn wait_for_checkpoint(place: &Place, runs: &str, child: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be stopped"
        );
        let questions = fs::read_dir(place.path(runs)).into_iter().flatten();
        for question in questions.map(|question| question.unwrap().path()) {
            let checkpoints = question.join("seed-0/checkpoints");
            let steps = fs::read_dir(checkpoints).into_iter().flatten().flatten();
            let names = steps.map(|step| step.file_name().into_string().unwrap());
            if names
                .into_iter()
                .any(|name| name.starts_with("step-") && name != "step-20")
            {
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no checkpoint within a minute");
}

#[test]
fn a_killed_run_goes_on_and_gives_the_same_numbers() {
    let place = Place::new();
    let whole = place.moe(&format!("{LONG} --runs whole"));
    assert_eq!(whole.code, 0, "{}", whole.stderr);

    let line = format!("{LONG} --runs killed");
    let mut child = start(&place, &line);
    wait_for_checkpoint(&place, "killed", &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.run_folder("killed").join("summary.json").exists());

    let rest = place.moe(&line);
    assert_eq!(rest.code, 0, "{}", rest.stderr);
    assert!(
        rest.stderr.contains("going on after step "),
        "{}",
        rest.stderr
    );
    let (whole, killed) = (place.run_folder("whole"), place.run_folder("killed"));
    assert_eq!(
        fs::read_to_string(whole.join("summary.json")).unwrap(),
        fs::read_to_string(killed.join("summary.json")).unwrap()
    );
    assert_eq!(
        metrics_without_speed(&whole),
        metrics_without_speed(&killed)
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_exits_with_130() {
    let place = Place::new();
    let mut child = start(&place, LONG);
    wait_for_checkpoint(&place, "runs", &mut child);
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("interrupted after step "),
        "{}",
        ended.stderr
    );

    let plan = place.json(&format!("{LONG} --dry-run"));
    assert_eq!(plan["state"], "resume");
    let rest = place.moe(LONG);
    assert_eq!(rest.code, 0, "{}", rest.stderr);
    assert!(
        rest.stderr.contains("going on after step "),
        "{}",
        rest.stderr
    );
}

/// A claim over `tiny.toml`: the loss of one arm is below a bound.
fn claim(bound: f64) -> String {
    format!(
        "base = \"tiny.toml\"\n\
         [claim]\nhypothesis = \"a tiny model learns\"\nsource = \"none\"\nseeds = 5\n\
         [[arm]]\nname = \"plain\"\n\
         [[arm]]\nname = \"balanced\"\nset = {{ balance.load_balance = 0.5 }}\n\
         [[rule]]\narms = [\"balanced\"]\nmetric = \"loss\"\nbelow = {bound:?}\n"
    )
}

#[test]
fn a_claim_is_decided_and_drawn() {
    let place = Place::new();
    fs::write(place.path("true.toml"), claim(8.0)).unwrap();
    fs::write(place.path("false.toml"), claim(0.5)).unwrap();

    let report = place.json("ablate true.toml --svg figure.svg");
    assert_eq!(report["seeds"], serde_json::json!([0, 1, 2, 3, 4]));
    assert_eq!(report["arms"][1]["label"], "balanced");
    assert_eq!(report["claim"]["decision"], "pass");
    assert_eq!(
        report["claim"]["rules"][0]["rule"],
        "loss of `balanced` is below 8"
    );
    let figure = fs::read_to_string(place.path("figure.svg")).unwrap();
    assert!(figure.starts_with("<svg") && figure.contains(">balanced</text>"));

    let refuted = place.moe("ablate false.toml");
    assert_eq!(refuted.code, 3, "{}", refuted.stderr);
    assert!(
        refuted.stdout.trim_end().ends_with("FAIL"),
        "{}",
        refuted.stdout
    );
    let note = "without a correction for 1 rule; the claim is what its weakest rule is.";
    assert!(refuted.stdout.contains(note), "{}", refuted.stdout);

    // the same runs, but what was changed on the command line decides nothing
    for (changes, words) in [("-s 2", "2 of 5 seeds"), ("seed=0", "seed=0")] {
        let changed = place.moe(&format!("ablate false.toml {changes}"));
        assert_eq!(changed.code, 0, "{}", changed.stderr);
        let end = format!("\nnot decided: changed by {words}");
        assert!(
            changed.stdout.trim_end().ends_with(&end),
            "{}",
            changed.stdout
        );
        assert!(!changed.stdout.contains("FAIL"), "{}", changed.stdout);
        let report = place.json(&format!("ablate false.toml {changes}"));
        assert_eq!(report["claim"]["decision"], "not_decided");
        assert_eq!(report["claim"]["changed_by"], words);
        assert_eq!(report["claim"]["rules"][0]["decision"], "not_decided");
    }

    // a figure that cannot be written does not take the table away
    let full = "/dev/full"; // a device that takes nothing
    let unwritten = place.moe(&format!("ablate true.toml --svg {full}"));
    assert_eq!(unwritten.code, 1, "{}", unwritten.stderr);
    assert!(
        unwritten.stdout.trim_end().ends_with("PASS"),
        "{}",
        unwritten.stdout
    );
    assert!(unwritten.stderr.contains(full), "{}", unwritten.stderr);
}

#[test]
fn a_claim_keeps_its_arms() {
    let place = Place::new();
    fs::write(place.path("claim.toml"), claim(8.0)).unwrap();
    let ended = place.moe("ablate claim.toml -x router.top_k=1,2");
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("leave out -x"), "{}", ended.stderr);

    let smaller = place.moe("ablate claim.toml -s 3 --dry-run");
    assert_eq!(smaller.code, 0, "{}", smaller.stderr);
    assert!(
        smaller.stderr.contains("not the claim as it was fixed"),
        "{}",
        smaller.stderr
    );

    let curve = claim(8.0).replace("seeds = 5", "seeds = 5\nsweep = \"balance.load_balanc\"");
    fs::write(place.path("claim.toml"), curve).unwrap();
    let ended = place.moe("ablate claim.toml --dry-run");
    assert_eq!(ended.code, 2);
    let words = "no arm has the key `balance.load_balanc`; did you mean `balance.load_balance`?";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);

    let broken = claim(8.0).replace("\"balanced\"]", "\"balance\"]");
    fs::write(place.path("claim.toml"), broken).unwrap();
    let ended = place.moe("ablate claim.toml");
    assert_eq!(ended.code, 2);
    assert!(
        ended
            .stderr
            .contains("no arm `balance`; the arms are plain, balanced"),
        "{}",
        ended.stderr
    );
}
