//! Runs that are killed or told to stop at any moment, and the same command afterwards.

use crate::place::{Ended, Place};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A short run that saves often, of each task.
const TASKS: [(&str, &str); 3] = [
    (
        "text",
        "train tiny.toml model.d_model=16 train.steps=30 train.checkpoint_every=5",
    ),
    ("images", "train images.toml"),
    ("pairs", "train pairs.toml"),
];

const IMAGES: &str = r#"
[data]
name = "digits"
shift = 1
[model]
family = "vmoe"
d_model = 16
n_layers = 2
d_mlp = 16
moe_layers = [1]
patch_size = 4
[attention]
n_heads = 2
[experts]
n_experts = 4
d_expert = 16
[train]
steps = 30
warmup_steps = 2
batch_size = 8
log_every = 5
eval_every = 10
eval_windows = 20
checkpoint_every = 5
"#;

const PAIRS: &str = r#"
[data]
name = "spans"
path = "text"
vocab_size = 360
[model]
family = "switch"
d_model = 16
n_layers = 2
n_decoder_layers = 2
d_dense = 16
[attention]
n_heads = 2
[experts]
n_experts = 4
d_expert = 16
[train]
steps = 30
warmup_steps = 2
batch_size = 4
seq_length = 16
log_every = 5
eval_every = 10
eval_windows = 4
final_eval_windows = 20
checkpoint_every = 5
"#;

fn place() -> Place {
    let place = Place::new();
    fs::write(place.path("images.toml"), IMAGES).unwrap();
    fs::write(place.path("pairs.toml"), PAIRS).unwrap();
    place
}

fn start(place: &Place, line: &str) -> Child {
    let mut command = place.command(line);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// All numbers of a run but its speed.
fn numbers(folder: &Path) -> (String, Vec<Value>) {
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    let lines = read("metrics.jsonl");
    let lines = lines.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("tokens_per_s");
        line
    });
    (read("summary.json"), lines.collect())
}

fn files_below(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if entry.is_dir() {
            files.extend(files_below(&entry));
        } else {
            files.push(entry);
        }
    }
    files.sort();
    files
}

/// Shares of a run's time, always the same ones.
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Kills each run twice; `MOE_KILLS=30` kills each 30 times, in runs that are killed one to three times.
#[test]
fn a_run_that_is_killed_at_any_moment_gives_the_same_numbers() {
    let n_kills = std::env::var("MOE_KILLS").map_or(2, |n| n.parse().unwrap());
    let place = place();
    for (task, line) in TASKS {
        let began = Instant::now();
        let whole = place.moe(&format!("{line} --runs {task}-whole"));
        assert_eq!(whole.code, 0, "{task}: {}", whole.stderr);
        let taken = began.elapsed();
        let whole = place.run_folder(&format!("{task}-whole"));

        let mut moments = Moments(7);
        let mut killed = 0;
        while killed < n_kills {
            let runs = format!("{task}-{killed}");
            let line = format!("{line} --runs {runs}");
            let in_this_run = (1 + (moments.next() * 3.0) as usize).min(n_kills - killed);
            for _ in 0..in_this_run {
                let mut child = start(&place, &line);
                thread::sleep(taken.mul_f64(moments.next()));
                child.kill().unwrap();
                child.wait().unwrap();
            }
            killed += in_this_run;
            let rest = place.moe(&line);
            assert_eq!(rest.code, 0, "{task}: {}", rest.stderr);
            let folder = place.run_folder(&runs);
            assert_eq!(
                numbers(&folder),
                numbers(&whole),
                "{task} after {killed} kills"
            );
            let names = |folder: &Path| -> Vec<PathBuf> {
                let files = files_below(folder).into_iter();
                files
                    .map(|file| file.strip_prefix(folder).unwrap().to_owned())
                    .collect()
            };
            assert_eq!(names(&folder), names(&whole), "{task} after {killed} kills");
        }
    }
}

#[cfg(unix)]
mod signals {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn send(signal: &str, child: &Child) {
        let id = child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    fn wait_until(child: &mut Child, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !done() {
            assert!(child.try_wait().unwrap().is_none(), "it ended too early");
            assert!(Instant::now() < deadline, "nothing within a minute");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts a command that is still at work a moment later.
    fn at_work(place: &Place, line: &str) -> Child {
        let mut child = start(place, line);
        thread::sleep(Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        child
    }

    /// Sends SIGTERM, after which the command must end soon.
    fn ended(child: Child) -> Output {
        send("-TERM", &child);
        let began = Instant::now();
        let output = child.wait_with_output().unwrap();
        let taken = began.elapsed();
        assert!(taken < Duration::from_secs(5), "it took {taken:?}");
        output
    }

    /// As [`ended`], of a command that listens to the signal.
    fn terminated(child: Child) -> Ended {
        let ended = Ended::from(ended(child));
        assert_eq!(ended.code, 130, "{}", ended.stderr);
        ended
    }

    /// As [`terminated`], of a run that says how far it came.
    fn interrupted(child: Child, how_far: &str) {
        let ended = terminated(child);
        assert!(ended.stderr.contains(how_far), "{}", ended.stderr);
    }

    fn folders_in(path: PathBuf) -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    fn has_checkpoint(place: &Place) -> bool {
        let seeds = folders_in(place.path("runs"))
            .into_iter()
            .flat_map(folders_in);
        let mut checkpoints = seeds.flat_map(|seed| folders_in(seed.join("checkpoints")));
        checkpoints.any(|path| path.file_name().unwrap().as_encoded_bytes()[0] != b'.')
    }

    /// The command once it has saved a checkpoint.
    fn with_checkpoint(place: &Place, mut child: Child) -> Child {
        wait_until(&mut child, || has_checkpoint(place));
        child
    }

    fn long_text(place: &Place, n_bytes: usize) {
        let words = ["sun", "moon", "star", "sky", "rain", "wind", "snow", "sea"];
        let mut moments = Moments(1);
        let mut text = String::new();
        while text.len() < n_bytes {
            text.push_str(words[(moments.next() * 8.0) as usize]);
            text.push(' ');
        }
        fs::write(place.path("long.txt"), text).unwrap();
    }

    /// The numbers of a run that was never told to stop.
    fn whole(place: &Place, line: &str) -> (String, Vec<Value>) {
        let whole = place.moe(&format!("{line} --runs whole"));
        assert_eq!(whole.code, 0, "{}", whole.stderr);
        numbers(&place.run_folder("whole"))
    }

    /// Gives the command again, after which the run must have the numbers of a whole one.
    fn goes_on_to(place: &Place, line: &str, expected: &(String, Vec<Value>)) {
        let rest = place.moe(line);
        assert_eq!(rest.code, 0, "{}", rest.stderr);
        assert_eq!(&numbers(&place.run_folder("runs")), expected);
    }

    #[test]
    fn a_signal_while_a_text_is_read_and_its_vocabulary_learned() {
        let place = place();
        long_text(&place, 10_000_000);
        let line = "train tiny.toml data.path=long.txt data.vocab=bpe data.vocab_size=270 \
                    train.steps=3 train.final_eval_windows=20";
        let expected = whole(&place, line);
        for pause in [0, 200] {
            let said = place.path("said.txt");
            let mut command = place.command(line);
            command.stdout(Stdio::null());
            command.stderr(fs::File::create(&said).unwrap());
            let mut child = command.spawn().unwrap();
            let told = || fs::read_to_string(&said).unwrap();
            wait_until(&mut child, || told().contains("learning a vocabulary"));
            thread::sleep(Duration::from_millis(pause));
            terminated(child);
            assert!(told().contains("before the first step"), "{}", told());
        }
        goes_on_to(&place, line, &expected);
    }

    #[test]
    fn a_signal_between_two_steps() {
        for (_, line) in TASKS {
            let place = place();
            let line = format!("{line} train.steps=300 train.checkpoint_every=20");
            let expected = whole(&place, &line);
            let child = with_checkpoint(&place, start(&place, &line));
            interrupted(child, "interrupted after step");
            goes_on_to(&place, &line, &expected);
        }
    }

    #[test]
    fn the_signals_of_clusters_save_as_a_request_to_terminate_does() {
        let line = format!("{} train.steps=300 train.checkpoint_every=20", TASKS[0].1);
        for signal in ["-USR1", "-USR2", "-TERM"] {
            let place = place();
            let expected = whole(&place, &line);
            let mut child = start(&place, &line);
            wait_until(&mut child, || has_checkpoint(&place));
            // twice: a scheduler tells a job's step, and the launcher that it tells as well passes it on
            send(signal, &child);
            send(signal, &child);
            let ended = Ended::from(child.wait_with_output().unwrap());
            assert_eq!(ended.code, 130, "{signal}: {}", ended.stderr);
            let words = "interrupted after step";
            assert!(ended.stderr.contains(words), "{signal}: {}", ended.stderr);
            goes_on_to(&place, &line, &expected);
        }
    }

    #[test]
    fn a_worker_saves_on_a_signal_and_another_goes_on() {
        let place = place();
        let line = "ablate tiny.toml -x router.name=mixtral,random router.top_k=2 -s 1 train.steps=300 \
                    train.checkpoint_every=20 --worker";
        let mut child = start(&place, line);
        wait_until(&mut child, || has_checkpoint(&place));
        let ended = terminated(child);
        assert!(
            ended.stderr.contains("interrupted and saved"),
            "{}",
            ended.stderr
        );
        let rest = place.moe(line);
        assert_eq!(rest.code, 0, "{}", rest.stderr);
        assert!(
            rest.stderr.contains("going on after step"),
            "{}",
            rest.stderr
        );
    }

    #[test]
    fn the_last_evaluation_is_bounded_ends_on_a_signal_and_is_made_again() {
        let place = place();
        long_text(&place, 4_000_000);
        let short = "train tiny.toml data.path=long.txt train.steps=3 train.batch_size=16";
        let plan = place.json(&format!("{short} --dry-run"));
        assert_eq!(plan["final_windows"], 2048);
        // 200 kB in windows of 32 that overlap by half
        assert!(plan["all_windows"].as_u64().unwrap() > 12_000, "{plan}");

        let line = format!("{short} train.final_eval_windows=100000");
        let expected = whole(&place, &line);
        let summary: Value = serde_json::from_str(&expected.0).unwrap();
        let scored = &summary["validation"];
        assert_eq!(scored["n_scored"], plan["all_windows"]);
        assert_eq!(scored["whole"], true);

        let child = with_checkpoint(&place, start(&place, &line));
        thread::sleep(Duration::from_millis(100));
        interrupted(child, "after the last step");
        assert!(!place.run_folder("runs").join("summary.json").exists());
        goes_on_to(&place, &line, &expected);
    }

    /// `eval` looks at the stop flag. `analyze` listens to no signal, so the system ends it: its page is written
    /// whole or not at all.
    #[test]
    fn eval_and_analyze_end_on_a_signal() {
        let place = place();
        long_text(&place, 4_000_000);
        let short = "train tiny.toml data.path=long.txt train.steps=3 train.final_eval_windows=20";
        assert_eq!(place.moe(short).code, 0);
        let run = place.run_folder("runs").display().to_string();

        let eval = terminated(at_work(&place, &format!("eval {run}")));
        assert!(eval.stdout.is_empty(), "{}", eval.stdout);
        let eval = format!("eval {run} --windows 20");
        assert_eq!(place.json(&eval)["n_scored"], 20);

        let before = place.entries();
        let analyze = at_work(&place, &format!("analyze {run} -o experts.html"));
        assert_eq!(ended(analyze).status.signal(), Some(15));
        assert_eq!(place.entries(), before);
        let analyze = format!("analyze {run} --most 20 -o experts.html");
        assert_eq!(place.moe(&analyze).code, 0);
        assert!(place.path("experts.html").exists());
    }

    #[test]
    fn signals_that_are_ignored_from_the_start_stay_so() {
        let place = place();
        let line = format!("{} train.steps=300", TASKS[0].1);
        let moe = env!("CARGO_BIN_EXE_moe");
        let child = Command::new("sh")
            .args(["-c", &format!("trap '' HUP INT USR1; exec {moe} {line}")])
            .current_dir(place.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let child = with_checkpoint(&place, child);
        send("-HUP", &child);
        send("-USR1", &child);
        send("-INT", &child);
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(place.run_folder("runs").join("summary.json").exists());
    }

    #[test]
    fn a_system_that_gives_no_more_threads_is_an_error_in_words() {
        let moe = env!("CARGO_BIN_EXE_moe");
        // large stacks, so that few threads fit and the rest of the memory holds what those need besides
        let limited = format!(
            "ulimit -v 8000000; RUST_MIN_STACK=67108864 RAYON_NUM_THREADS=1000 {moe} list routers"
        );
        let output = Command::new("sh").args(["-c", &limited]).output().unwrap();
        let ended = Ended::from(output);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert!(
            ended.stderr.starts_with("error: cannot start the threads"),
            "{}",
            ended.stderr
        );
    }

    #[test]
    fn more_threads_than_make_sense_are_refused() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moe"));
        command
            .args(["list", "routers"])
            .env("RAYON_NUM_THREADS", "30000");
        let ended = Ended::from(command.output().unwrap());
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(
            ended.stderr.contains("more than 1024 threads"),
            "{}",
            ended.stderr
        );
    }
}
