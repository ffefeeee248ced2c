//! Ablations on many processes: workers, the state of all runs, a script for Slurm, a command a run.

use crate::place::{Ended, Place, without_speed};
use moe_train::run::{Hold, RunFolder};
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const GRID: &str = "ablate tiny.toml -x router.name=mixtral,random router.top_k=2 -s 3";

/// The end of a process that was started.
fn ended(mut command: Command) -> Ended {
    Ended::from(command.output().unwrap())
}

/// The state of all runs.
fn standing(place: &Place, line: &str) -> Value {
    place.json(&format!("{line} --status"))
}

/// Takes the lock of the run in a line of a state, as a process that trains it does.
fn held(place: &Place, run: &Value) -> Hold {
    let folder = place.path(run["folder"].as_str().unwrap());
    RunFolder::new(folder).create().unwrap()
}

#[test]
fn workers_share_the_runs_and_the_last_one_prints_the_table() {
    let place = Place::new();
    let start = |task: &str| {
        let mut command = place.command(&format!("{GRID} --worker --json"));
        command.env("SLURM_ARRAY_TASK_ID", task);
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        piped.spawn().unwrap()
    };
    let all = ["0", "1", "4"].map(start);
    let all = all.map(|child| Ended::from(child.wait_with_output().unwrap()));
    let done = |ended: &Ended| ended.stderr.matches("\ndone  ").count();
    let made: usize = all.iter().map(done).sum();
    assert_eq!(made, 6, "each run is made once");
    for ended in &all {
        assert!([0, 4].contains(&ended.code), "{}", ended.stderr);
        assert_eq!(ended.stdout.is_empty(), ended.code == 4, "{}", ended.stderr);
        assert!(
            !ended.stderr.contains("about"),
            "no estimate: {}",
            ended.stderr
        );
    }
    let last = all.iter().find(|ended| ended.code == 0).unwrap();
    let table: Value = serde_json::from_str(&last.stdout).unwrap();
    let alone = place.json(&format!("{GRID} --runs alone"));
    assert_eq!(without_speed(table), without_speed(alone));
    // nothing is left to do, and the table is printed again
    assert_eq!(place.moe(&format!("{GRID} --worker")).code, 0);
}

#[test]
fn a_worker_leaves_what_others_hold_and_the_state_names_them() {
    let place = Place::new();
    let before = place.entries();
    let none = standing(&place, GRID);
    assert_eq!(place.entries(), before, "to look writes nothing");
    assert_eq!(none["totals"]["missing"], 6);
    assert_eq!(
        (&none["runs"][0]["step"], &none["runs"][0]["steps"]),
        (&json!(0), &json!(20))
    );

    let hold = held(&place, &none["runs"][1]);
    let left = place.moe(&format!("{GRID} --worker"));
    assert_eq!(
        (left.code, left.stdout.as_str()),
        (4, ""),
        "{}",
        left.stderr
    );
    assert!(
        left.stderr.contains("other processes are still at 1 run"),
        "{}",
        left.stderr
    );
    let one = standing(&place, GRID);
    let totals = json!({ "missing": 0, "running": 1, "finished": 5, "diverged": 0, "damaged": 0 });
    assert_eq!(one["totals"], totals);
    let run = &one["runs"][1];
    assert_eq!(
        (&run["state"], &run["arm"]),
        (&json!("running"), &json!("router.name=random"))
    );
    let host = run["owner"]["host"].as_str().unwrap();
    let text = place.moe(&format!("{GRID} --status")).stdout;
    let line = text.lines().find(|line| line.contains("running")).unwrap();
    assert!(line.ends_with(host), "{text}");
    assert!(text.ends_with("6 runs: 5 finished, 1 running\n"), "{text}");

    drop(hold);
    let rest = place.moe(&format!("{GRID} --worker"));
    assert_eq!(rest.code, 0, "{}", rest.stderr);
    assert!(rest.stdout.contains("verdict"), "{}", rest.stdout);
    let run = RunFolder::new(place.path(run["folder"].as_str().unwrap()));
    assert!(run.owner().is_none(), "the owner's name goes with its hold");
}

#[test]
fn a_tuning_comes_first_and_its_last_trial_names_the_rest() {
    let place = Place::new();
    let line = "ablate tiny.toml -x router.name=mixtral,random router.top_k=2 -s 2 \
                -t train.lr=1e-3,1e-2 --tune-seeds 1";
    let before = standing(&place, line);
    assert_eq!(
        (&before["totals"]["missing"], &before["later"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(
        before["runs"][1]["arm"],
        "router.name=mixtral train.lr=1e-2"
    );
    let printed = place.moe(&format!("{line} --commands"));
    assert_eq!(printed.stdout.lines().count(), 4, "{}", printed.stdout);
    assert!(
        printed.stderr.contains("4 runs follow"),
        "{}",
        printed.stderr
    );

    let hold = held(&place, &before["runs"][3]);
    let left = place.moe(&format!("{line} --worker"));
    assert_eq!(left.code, 4, "{}", left.stderr);
    let trials = standing(&place, line);
    assert_eq!(
        (&trials["totals"]["finished"], &trials["later"]),
        (&json!(3), &json!(4))
    );
    drop(hold);
    assert_eq!(place.moe(&format!("{line} --worker")).code, 0);
    let all = standing(&place, line);
    assert_eq!(
        (&all["totals"]["finished"], &all["later"]),
        (&json!(8), &json!(0))
    );
}

#[test]
fn a_run_that_diverged_is_not_tried_again_by_every_worker() {
    let place = Place::new();
    assert_eq!(place.moe(GRID).code, 0);
    let folder = place.path(
        standing(&place, GRID)["runs"][0]["folder"]
            .as_str()
            .unwrap(),
    );
    fs::remove_file(folder.join("summary.json")).unwrap();
    let log = fs::read_to_string(folder.join("log.txt")).unwrap();
    fs::write(
        folder.join("log.txt"),
        format!("{log}step 2: diverged: the loss is NaN\n"),
    )
    .unwrap();
    assert_eq!(standing(&place, GRID)["totals"]["diverged"], 1);
    let ended = place.moe(&format!("{GRID} --worker --json"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let table: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(table["arms"][0]["seeds"][0]["loss"], Value::Null);
    assert!(!folder.join("summary.json").exists());
}

/// This program by its name alone, as a shell finds it.
fn by_name(place: &Place, line: &str) -> Command {
    let mut command = place.command(line);
    command.env("PATH", search_path());
    command
}

fn search_path() -> std::ffi::OsString {
    let program = Path::new(env!("CARGO_BIN_EXE_moe")).parent().unwrap();
    let others = env::var_os("PATH").unwrap();
    let folders = [program.to_owned()]
        .into_iter()
        .chain(env::split_paths(&others));
    env::join_paths(folders).unwrap()
}

#[test]
fn the_script_for_slurm_is_as_it_is_read_here() {
    let place = Place::new();
    let before = place.entries();
    let line = "ablate tiny.toml -x 'router={name=\"mixtral\", top_k=1},{name=\"switch\"}' -s 3 \
                --submit slurm --throttle 4 --sbatch --partition=gpu --sbatch '--time=4:00:00' -q";
    let printed = ended(by_name(&place, line));
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    assert_eq!(printed.stdout, include_str!("submit.sh"));
    assert_eq!(place.entries(), before, "nothing is written");

    let script = place.path("script.sh");
    fs::write(&script, &printed.stdout).unwrap();
    let checked = Command::new("bash")
        .arg("-n")
        .arg(&script)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_guide_shows_the_script_that_its_command_prints() {
    let place = Place::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::create_dir(place.path("configs")).unwrap();
    fs::copy(
        root.join("configs/debug.toml"),
        place.path("configs/debug.toml"),
    )
    .unwrap();
    let page = fs::read_to_string(root.join("docs/guide/cluster.md")).unwrap();
    let line = "ablate configs/debug.toml -x router.name=mixtral,random router.top_k=2 -s 2 --submit slurm \
                --sbatch --time=1:00:00 --sbatch --cpus-per-task=4";
    assert!(page.contains(&format!("cargo run --release -- {line} > sweep.sh\n")));
    let script = ended(by_name(&place, line)).stdout;
    assert!(page.contains(&format!("```bash\n{script}```")), "{script}");
}

#[test]
fn a_script_has_a_task_for_each_missing_run_up_to_a_bound() {
    let place = Place::new();
    let array = |seeds: u64| {
        let line = GRID.replace("-s 3", &format!("-s {seeds} --submit slurm"));
        let script = place.moe(&line).stdout;
        let line = script
            .lines()
            .find(|line| line.contains("--array"))
            .unwrap();
        line.to_owned()
    };
    assert_eq!(array(3), "#SBATCH --array=0-5");
    assert_eq!(array(100), "#SBATCH --array=0-63");
    assert_eq!(place.moe(GRID).code, 0);
    let none = place.moe(&format!("{GRID} --submit slurm"));
    assert_eq!(
        (none.code, none.stdout.as_str()),
        (0, ""),
        "{}",
        none.stderr
    );
    assert!(none.stderr.contains("no run is missing"), "{}", none.stderr);
}

/// Runs a printed command in a shell.
fn in_shell(place: &Place, command: &str) {
    let mut shell = Command::new("sh");
    let shell = shell.args(["-c", command]).current_dir(place.dir.path());
    let ended = Ended::from(shell.env("PATH", search_path()).output().unwrap());
    assert_eq!(ended.code, 0, "{command}: {}", ended.stderr);
}

#[test]
fn the_commands_make_the_runs_of_the_ablation() {
    let place = Place::new();
    let line = "ablate tiny.toml -x 'router={name=\"mixtral\", top_k=1},{name=\"switch\"}' -s 2 \
                --scale 0.5,1,2 train.lr=5e-3";
    let printed = ended(by_name(&place, &format!("{line} --commands")));
    let commands: Vec<&str> = printed.stdout.lines().collect();
    // two arms and two other budgets, with two seeds each
    assert_eq!(commands.len(), 8, "{}", printed.stdout);
    let first = "moe train tiny.toml train.lr=5e-3 'router={name=\"mixtral\", top_k=1}' --seed 0 --runs runs";
    assert_eq!(commands[0], first);
    for made in [3, 6] {
        in_shell(&place, commands[made]);
        let standing = standing(&place, line);
        assert_eq!(standing["runs"][made]["state"], "finished", "{standing:#}");
    }
    assert_eq!(standing(&place, line)["totals"]["finished"], 2);
    let ended = place.moe(line);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(
        ended.stderr.matches("\ndone  ").count(),
        6,
        "{}",
        ended.stderr
    );
}

#[test]
fn claims_are_shared_by_workers_too() {
    let place = Place::new();
    let arm = |name: &str, x: f64| {
        format!(
            "[[arm]]\nname = \"{name}\"\nset = {{ train.steps = 4, balance.load_balance = {x:?} }}\n"
        )
    };
    let claim = |base: &str| {
        format!(
            "{base}[claim]\nhypothesis = \"h\"\nsource = \"none\"\nseeds = 5\n{}{}\
             [[rule]]\narms = [\"b\"]\nmetric = \"loss\"\nbelow = 20.0\n",
            arm("a", 0.0),
            arm("b", 0.5)
        )
    };
    fs::write(place.path("mine.toml"), claim("base = \"tiny.toml\"\n")).unwrap();
    let line = "claims run mine --folder . --results out --worker";
    let first = standing(&place, "ablate mine.toml");
    let hold = held(&place, &first["runs"][0]);
    let left = place.moe(line);
    assert_eq!(left.code, 4, "{}", left.stderr);
    assert!(!place.path("out/mine.csv").exists());
    drop(hold);
    let command = place.moe("ablate mine.toml --commands").stdout;
    in_shell(&place, command.lines().next().unwrap());
    let rest = place.moe(line);
    assert_eq!(rest.code, 0, "{}", rest.stderr);
    assert_eq!(
        rest.stderr.matches("\ndone  ").count(),
        0,
        "{}",
        rest.stderr
    );
    assert!(place.path("out/mine.csv").exists());

    // a base inside the claim's file has no command of its own
    let inside = claim("").replace("[claim]", "[base.router]\nname = \"switch\"\n[claim]");
    fs::write(place.path("inside.toml"), inside).unwrap();
    let refused = place.moe("ablate inside.toml --commands");
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(
        refused.stderr.contains("use --worker or --submit"),
        "{}",
        refused.stderr
    );
}

/// The only run folder below `runs`.
fn only_run(place: &Place) -> PathBuf {
    place.run_folder("runs")
}

#[test]
fn a_lease_keeps_others_out_where_there_are_no_locks() {
    let place = Place::new();
    let line = "train tiny.toml --lock lease";
    let plan = place.json(&format!("{line} --dry-run"));
    let folder = place.path(plan["folder"].as_str().unwrap());
    fs::create_dir_all(&folder).unwrap();
    let owner = json!({ "host": "elsewhere", "pid": 1, "started_at": 1, "lock": "lease" });
    fs::write(folder.join("owner.json"), owner.to_string()).unwrap();
    for line in [line, "train tiny.toml"] {
        let busy = place.moe(line);
        assert_eq!(busy.code, 1, "{}", busy.stderr);
        assert!(
            busy.stderr.contains("another process is training"),
            "{}",
            busy.stderr
        );
    }
    let state = place.json("runs");
    assert_eq!(state[0]["state"], "training");
    fs::remove_file(folder.join("owner.json")).unwrap();
    assert_eq!(place.moe(line).code, 0);
    assert_eq!(only_run(&place), folder);
    assert!(!folder.join("owner.json").exists());
    let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert!(
        manifest["hostname"]
            .as_str()
            .is_some_and(|name| !name.is_empty())
    );
}

#[test]
fn the_manifest_names_the_task_of_a_cluster() {
    let place = Place::new();
    let mut command = place.command("train tiny.toml");
    command
        .env("SLURM_ARRAY_JOB_ID", "17")
        .env("SLURM_ARRAY_TASK_ID", "3");
    assert_eq!(ended(command).code, 0);
    let manifest = fs::read_to_string(only_run(&place).join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["job"], "slurm 17_3");
}
