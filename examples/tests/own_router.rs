//! A router of another crate in the whole command: trained, resumed, compared, reported, held to the laws.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

const STEPS: &str = "train.steps=40";

/// The command with `router.name=sigmoid` in it, run in an empty folder.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_own_router"));
        let debug = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/debug.toml");
        let line = line.replace("DEBUG", debug);
        command.current_dir(&self.0).args(line.split_whitespace());
        command
    }

    fn output(&self, line: &str) -> Output {
        self.command(line).output().expect("a built program")
    }

    /// The output of a command that succeeds.
    fn run(&self, line: &str) -> String {
        let output = self.output(line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The folder of the only run in a folder of runs.
    fn only_run(&self, runs: &str) -> Option<PathBuf> {
        let mut runs = self.0.path().join(runs).read_dir().ok()?;
        Some(runs.next()?.ok()?.path().join("seed-0"))
    }
}

fn summary(run: &Path) -> String {
    std::fs::read_to_string(run.join("summary.json")).expect("a finished run")
}

#[test]
fn it_is_listed_with_its_keys() {
    let place = Place::new();
    assert!(
        place
            .run("list routers")
            .contains("the best logits, weighted by their sigmoids")
    );
    let about = place.run("list routers sigmoid");
    assert!(
        about.contains("router.top_k") && about.contains("The number of experts a token"),
        "{about}"
    );

    let wrong = place.output("train DEBUG router.name=sigmoit");
    let error = String::from_utf8_lossy(&wrong.stderr);
    assert!(error.contains("did you mean `sigmoid`?"), "{error}");
    let wrong = place.output("train DEBUG router.name=sigmoid router.top_q=1");
    let error = String::from_utf8_lossy(&wrong.stderr);
    assert!(error.contains("did you mean `router.top_k`?"), "{error}");
}

#[test]
fn it_is_held_to_the_laws_and_drawn() {
    let place = Place::new();
    let laws = place.run("laws --router sigmoid");
    assert!(laws.contains("sigmoid"), "{laws}");
    place.run("figure sigmoid -o sigmoid.svg");
    let figure = std::fs::read_to_string(place.0.path().join("sigmoid.svg")).expect("a figure");
    assert!(figure.contains("sigmoid"));
}

#[test]
fn a_killed_run_goes_on_to_the_same_numbers() {
    let place = Place::new();
    let train = |runs: &str| {
        format!("train DEBUG router.name=sigmoid {STEPS} train.checkpoint_every=2 --runs {runs}")
    };
    place.run(&train("whole"));

    let mut child = place.command(&train("killed")).spawn().expect("a program");
    let start = Instant::now();
    let has_saved = || {
        let run = place.only_run("killed")?;
        run.join("checkpoints").read_dir().ok()?.next()
    };
    while has_saved().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "no checkpoint");
        sleep(Duration::from_millis(5));
    }
    child.kill().expect("a child");
    child.wait().expect("a child");
    place.run(&train("killed"));

    let [whole, killed] = ["whole", "killed"].map(|runs| place.only_run(runs).expect("a run"));
    assert_eq!(summary(&whole), summary(&killed));
}

#[test]
fn it_is_compared_with_mixtrals_and_reported() {
    let place = Place::new();
    let ablate = "ablate DEBUG -x router.name=mixtral,sigmoid -s 2 train.steps=4";
    let table = place.run(ablate);
    assert!(
        table.contains("mixtral") && table.contains("sigmoid"),
        "{table}"
    );
    assert!(table.contains("undecided (needs 6 seeds)"), "{table}");
    place.run("report runs -o report.html");
    let page = std::fs::read_to_string(place.0.path().join("report.html")).expect("a page");
    assert!(page.contains("sigmoid"));
}
