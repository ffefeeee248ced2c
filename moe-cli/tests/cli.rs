//! The command line as its users meet it: the built program in an empty folder.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A model of a few thousand parameters, its own text, 20 steps.
const TINY: &str = r#"
[data]
name = "text"
path = "text"
[model]
d_model = 32
n_layers = 1
[attention]
n_heads = 2
n_kv_heads = 1
[experts]
n_experts = 4
d_expert = 16
[router]
name = "mixtral"
top_k = 2
[train]
steps = 20
batch_size = 2
seq_length = 32
lr = 1e-2
warmup_steps = 2
log_every = 5
eval_every = 10
eval_windows = 4
checkpoint_every = 10
"#;

/// A folder with a configuration and text of two domains.
struct Place {
    dir: TempDir,
}

/// What a command did.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("text")).unwrap();
        let english = "The quick brown fox jumps over the lazy dog. ".repeat(40);
        let french = "Le théâtre est fermé à midi, même en été. ".repeat(40);
        fs::write(dir.path().join("text/english.txt"), english).unwrap();
        fs::write(dir.path().join("text/french.txt"), french).unwrap();
        fs::write(dir.path().join("tiny.toml"), TINY).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moe"));
        command
            .args(words(line))
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    fn moe(&self, line: &str) -> Ended {
        Ended::from(self.command(line).output().unwrap())
    }

    /// Runs a command that must succeed, and returns its stdout as JSON.
    fn json(&self, line: &str) -> Value {
        let ended = self.moe(&format!("{line} --json"));
        assert_eq!(ended.code, 0, "{line}: {}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The only run below a folder of runs.
    fn run_folder(&self, runs: &str) -> PathBuf {
        let only = |path: PathBuf| -> PathBuf {
            let paths: Vec<PathBuf> = fs::read_dir(path)
                .unwrap()
                .map(|e| e.unwrap().path())
                .collect();
            assert_eq!(paths.len(), 1, "{paths:?}");
            paths[0].clone()
        };
        only(only(self.path(runs)))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The words of a line; single quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(String::from));
        }
    }
    words
}

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
fn wrong_commands_exit_with_2_say_what_to_do_and_write_nothing() {
    // the command; what stderr must contain
    let cases = [
        (
            "train tiny.toml router.topk=2",
            &["router.topk", "did you mean `router.top_k`"][..],
        ),
        (
            "train tiny.toml router.name=mixtrall",
            &["mixtrall", "did you mean `mixtral`"],
        ),
        (
            "train tiny.toml router.top_k=two",
            &["router.top_k", "integer", "two"],
        ),
        (
            "train tiny.toml router.top_k",
            &["router.top_k", "key=value"],
        ),
        ("train tiny.toml router.top_k=9", &["top_k = 9", "4"]),
        ("train tiny.toml model.d_model=33", &["33", "heads"]),
        (
            "train tiny.toml train.steps=0",
            &["train.steps = 0", "at least 1"],
        ),
        (
            "train tiny.toml data.path=nowhere",
            &["data.path", "nowhere"],
        ),
        (
            "train tiny.toml train.seq_length=4096",
            &["train.seq_length", "english"],
        ),
        (
            "train tiny.toml router.name=expert_choice",
            &["expert_choice", "not causal", "model.allow_leak = true"],
        ),
        ("train tiny.tom", &["tiny.tom", "did you mean `tiny.toml`"]),
        ("train broken.toml", &["broken.toml:1:", "TOML"]),
        (
            "train unknown.toml",
            &["unknown.toml:2", "train.stepz", "train.steps"],
        ),
        (
            "train tiny.toml --device flexx",
            &["flexx", "did you mean `flex`"],
        ),
        (
            "train tiny.toml --device flex:1",
            &["flex", "takes no index"],
        ),
        (
            "inspect tiny.toml experts.n_expert=2",
            &["did you mean `experts.n_experts`"],
        ),
        (
            "ablate tiny.toml -x router.name=mixtral",
            &["router.name", "one value"],
        ),
        (
            "ablate tiny.toml -x router.name=mixtral,swich",
            &["did you mean `switch`"],
        ),
        ("ablate tiny.toml", &["--axis"]),
        ("ablate tiny.toml -x router.top_k=1,2 -s 0", &["--seeds 0"]),
        (
            "eval runs/nothing",
            &["there is no run at `runs/nothing`", "train"],
        ),
        ("eval text", &["not a run"]),
        (
            "eval text --split train",
            &["train", "possible values: test, validation"],
        ),
        ("generate text -p ''", &["--prompt is empty"]),
        ("generate text -p a --top-p 2", &["--top-p 2"]),
        ("generate text -p a --temperature=-1", &["--temperature -1"]),
        (
            "generate text -p a --html no/where.html",
            &["no folder `no`"],
        ),
        ("bench train tiny.toml --steps 0", &["--steps 0"]),
        ("list router", &["router", "routers"]),
        ("trian tiny.toml", &["trian", "train"]),
        ("", &["Usage: moe"]),
    ];
    let place = Place::new();
    fs::write(place.path("broken.toml"), "seed = = 1\n").unwrap();
    fs::write(place.path("unknown.toml"), "[train]\nstepz = 3\n").unwrap();
    let before = place.entries();
    for (line, needles) in cases {
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
            .any(|line| line.starts_with("expert_choice") && line.contains(" no "))
    );

    let markdown = place.moe("list routers --format md").stdout;
    assert!(
        markdown.starts_with(
            "| name | family | causal | rule | paper |\n| --- | --- | --- | --- | --- |\n"
        ),
        "{markdown}"
    );
    let row = "| `mixtral` | token choice | yes | softmax over the k selected logits | \
               [Jiang et al. 2024](https://arxiv.org/abs/2401.04088) |";
    assert!(markdown.lines().any(|line| line == row), "{markdown}");

    let json = place.json("list routers");
    assert_eq!(json[0]["name"], "mixtral");
    assert_eq!(json[0]["paper"]["arxiv"], "2401.04088");
    assert_eq!(json.as_array().unwrap().len() + 2, markdown.lines().count());

    let all = place.json("list");
    for topic in [
        "routers", "models", "experts", "data", "configs", "backends",
    ] {
        assert!(all[topic].is_array(), "{topic}");
    }
    assert_eq!(all["data"].as_array().unwrap().len(), 9);
    assert_eq!(all["backends"][0]["name"], "flex");
}

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
        "train",
        "eval",
        "generate",
        "ablate",
        "bench",
        "bench train",
        "doctor",
        "completions",
    ];
    for command in commands {
        let ended = place.moe(&format!("{command} --help"));
        assert_eq!(ended.code, 0, "{command}");
        assert!(ended.stdout.contains("Usage: moe"), "{}", ended.stdout);
        assert!(ended.stdout.contains("--device"), "{}", ended.stdout);
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
    let mut child = place
        .command("list")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
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

    let shown = place.moe(&format!("{greedy} --show-experts --html page.html"));
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(!shown.stdout.contains('\x1b'), "no colour in a pipe");
    assert!(
        shown
            .stdout
            .contains("first expert of each token in layer 0")
    );
    let page = fs::read_to_string(place.path("page.html")).unwrap();
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
    assert_eq!(modified(&place.path("runs")), summaries);
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
const LONG: &str = "train tiny.toml train.steps=400 train.checkpoint_every=20 train.eval_every=50";

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
    let line = format!("{LONG} train.checkpoint_every=20");
    let mut child = start(&place, &line);
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

    let plan = place.json(&format!("{line} --dry-run"));
    assert_eq!(plan["state"], "resume");
    let rest = place.moe(&line);
    assert_eq!(rest.code, 0, "{}", rest.stderr);
    assert!(
        rest.stderr.contains("going on after step "),
        "{}",
        rest.stderr
    );
}
