//! The law of run folders: whatever is done to a file of a run, training on, scoring and reporting give the
//! numbers of the untouched run, or an error. Never other numbers, never a panic.
//!
//! `MOE_FUZZ=N` makes N random changes of each target instead of a few.
#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use moe_lab::report::Report;
use moe_parallel::Mesh;
use moe_train::config::RunConfig;
use moe_train::data::Split;
use moe_train::run::{
    EvalMetrics, Event, LoadedRun, Observer, Outcome, RunError, RunFolder, RunOptions, Silent,
    Summary, Watch, evaluate_run, run_folder, train,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

fn config(text: &Path, more: &[&str]) -> RunConfig {
    let path = format!("data.path={}", text.display());
    let tiny = [
        "data.name=text",
        &path,
        "data.vocab=bpe",
        "data.vocab_size=270",
        "model.d_model=8",
        "model.n_layers=1",
        "attention.n_heads=2",
        "attention.n_kv_heads=1",
        "experts.n_experts=2",
        "experts.d_expert=8",
        "train.steps=8",
        "train.batch_size=2",
        "train.seq_length=16",
        "train.warmup_steps=2",
        "train.log_every=1",
        "train.eval_every=4",
        "train.eval_windows=2",
        "train.checkpoint_every=3",
    ];
    RunConfig::of_overrides(&[&tiny[..], more].concat()).unwrap()
}

/// Stops after a step.
struct Stopper<'a> {
    after: u64,
    stop: &'a AtomicBool,
}

impl Observer for Stopper<'_> {
    fn on(&mut self, event: Event<'_>) {
        if let Event::Step(metrics) = event
            && metrics.step == self.after
        {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn go(config: &RunConfig, runs: &Path, after: u64) -> Result<Outcome, RunError> {
    let stop = AtomicBool::new(false);
    let options = RunOptions {
        runs_dir: runs.to_owned(),
        device_name: "flex".to_owned(),
        argv: Vec::new(),
        claim: None,
        mesh: Mesh::one(),
    };
    let mut stopper = Stopper { after, stop: &stop };
    train(config, &Device::flex(), &options, &mut stopper, &stop)
}

fn scored(run: &LoadedRun) -> Result<EvalMetrics, RunError> {
    let mut watch = Watch {
        observer: &mut Silent,
        stop: &AtomicBool::new(false),
    };
    let metrics = evaluate_run(run, Split::Test, None, &Device::flex(), &mut watch)?;
    Ok(metrics.expect("nobody stopped it"))
}

/// Runs of two configurations and two seeds, each finished and stopped after 5 steps.
struct Place {
    dir: TempDir,
    config: RunConfig,
    others: Vec<RunConfig>,
    /// The numbers of the untouched runs.
    expected: BTreeMap<&'static str, [Numbers; 2]>,
}

/// Reading of a run, without what differs from run to run.
#[derive(Debug, PartialEq)]
struct Numbers {
    summary: Option<Summary>,
    eval: EvalMetrics,
    losses: Vec<(u64, f64)>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("text.txt");
        let words = ["the quick ", "brown fox ", "jumps over ", "a lazy dog. "];
        let text_of = |seed: u64| -> String {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..200).map(|_| words[rng.random_range(0..4)]).collect()
        };
        fs::write(&text, text_of(1)).unwrap();
        let mut place = Self {
            config: config(&text, &[]),
            expected: BTreeMap::new(),
            others: vec![
                config(&text, &["train.lr=1e-3"]),
                config(&text, &["seed=1"]),
            ],
            dir,
        };
        for config in place.others.iter().chain([&place.config]) {
            assert!(matches!(
                go(config, &place.runs("finished"), u64::MAX),
                Ok(Outcome::Finished(_))
            ));
            assert!(matches!(
                go(config, &place.runs("stopped"), 5),
                Ok(Outcome::Interrupted { .. })
            ));
        }
        for of in ["finished", "stopped"] {
            let numbers = place.numbers(place.copy(of).path());
            place
                .expected
                .insert(of, numbers.map(|numbers| numbers.unwrap()));
        }
        place
    }

    fn runs(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A copy of a run, to be changed.
    fn copy(&self, of: &str) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        let from = run_folder(&self.config, &self.runs(of));
        copy_all(&from, &run_folder(&self.config, copy.path()));
        copy
    }

    /// The numbers of a copy: of going on, of scoring and of a report.
    fn numbers(&self, runs: &Path) -> [Result<Numbers, String>; 2] {
        let folder = run_folder(&self.config, runs);
        let read = |summary: Option<Summary>| -> Result<Numbers, String> {
            let device = Device::flex();
            let words = |error: RunError| error.to_string();
            let run = LoadedRun::open(&folder, &device).map_err(words)?;
            let report =
                Report::read(std::slice::from_ref(&folder)).map_err(|error| error.to_string())?;
            let run_of_report = report.runs().next().ok_or("no run")?;
            if summary.is_some() && run_of_report.summary != summary {
                return Err("the report has another summary".to_owned());
            }
            Ok(Numbers {
                summary: run_of_report.summary.clone(),
                eval: scored(&run).map_err(words)?,
                losses: run_of_report
                    .lines
                    .steps
                    .iter()
                    .map(|line| (line.step, line.loss))
                    .collect(),
            })
        };
        let before = read(None);
        let after = match go(&self.config, runs, u64::MAX) {
            Ok(Outcome::Finished(summary) | Outcome::AlreadyFinished(summary)) => {
                read(Some(summary))
            }
            Ok(Outcome::Interrupted { .. }) => panic!("nobody stopped it"),
            Err(error) => Err(error.to_string()),
        };
        [before, after]
    }

    /// Changes a copy, and holds what comes of it to the law.
    fn hold(&self, of: &str, what: &str, change: impl FnOnce(&Path)) -> [bool; 2] {
        let copy = self.copy(of);
        change(&run_folder(&self.config, copy.path()));
        let got = catch_unwind(AssertUnwindSafe(|| self.numbers(copy.path())));
        let got = got.unwrap_or_else(|_| panic!("{of}, {what}: a panic"));
        let mut refused = [false; 2];
        for (place, (got, expected)) in got.into_iter().zip(&self.expected[of]).enumerate() {
            match got {
                Ok(numbers) => assert_eq!(&numbers, expected, "{of}, {what}: other numbers"),
                Err(words) => {
                    assert!(!words.contains("elete"), "{of}, {what}: {words}");
                    refused[place] = true;
                }
            }
        }
        refused
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The files of a run, from its folder on.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    all.sort();
    all
}

/// Files whose content decides no number. The checkpoint of step 3 is deleted once the weights of step 5 have
/// given numbers.
fn is_free(file: &Path, of: &str) -> bool {
    let name = file.to_str().unwrap();
    match of {
        "stopped" => {
            [".lock", "log.txt", "manifest.json"].contains(&name) || name.contains("step-3/")
        }
        _ => [".lock", "log.txt"].contains(&name) || name.ends_with("optimizer.bpk"),
    }
}

#[test]
fn every_file_of_a_run_folder_is_as_it_was_written_or_refused() {
    let place = Place::new();
    for of in ["finished", "stopped"] {
        let folder = run_folder(&place.config, &place.runs(of));
        for file in files(&folder) {
            let name = file.display().to_string();
            let must_refuse = |what: &str, refused: [bool; 2]| {
                if !is_free(&file, of) {
                    assert!(refused[0] || refused[1], "{of}, {name} {what}: taken");
                }
            };
            let bytes = fs::read(folder.join(&file)).unwrap();
            if bytes.is_empty() {
                continue;
            }
            let flipped = place.hold(of, &format!("{name} flipped"), |folder| {
                let mut bytes = bytes.clone();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(folder.join(&file), bytes).unwrap();
            });
            must_refuse("flipped", flipped);
            let cut = place.hold(of, &format!("{name} cut"), |folder| {
                fs::write(folder.join(&file), &bytes[..bytes.len() / 2]).unwrap();
            });
            must_refuse("cut", cut);
            for other in &place.others {
                let theirs = fs::read(run_folder(other, &place.runs(of)).join(&file)).unwrap();
                let swapped = place.hold(of, &format!("{name} of another run"), |folder| {
                    fs::write(folder.join(&file), &theirs).unwrap();
                });
                if theirs != bytes {
                    must_refuse("of another run", swapped);
                }
            }
        }
    }
}

#[test]
fn a_folder_under_the_name_of_another_is_refused_with_the_keys_that_differ() {
    let place = Place::new();
    for of in ["finished", "stopped"] {
        let runs = place.runs(of);
        let copy = tempfile::tempdir().unwrap();
        copy_all(
            &run_folder(&place.others[0], &runs),
            &run_folder(&place.config, copy.path()),
        );
        let error = go(&place.config, copy.path(), u64::MAX).unwrap_err();
        assert!(matches!(error, RunError::Foreign { .. }), "{error}");
        let words = "`train.lr` is 0.001 there and 0.002 in this configuration";
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_checkpoint_under_the_name_of_another_step_is_refused() {
    let place = Place::new();
    let refused = place.hold("stopped", "step-5 as step-7", |folder| {
        let folder = RunFolder::new(folder);
        fs::rename(folder.checkpoint(5), folder.checkpoint(7)).unwrap();
    });
    assert_eq!(refused, [true, true]);
}

#[cfg(unix)]
#[test]
fn links_in_a_run_folder_lead_nowhere() {
    let place = Place::new();
    for name in [
        ".lock",
        "log.txt",
        "metrics.jsonl",
        "manifest.json",
        "summary.json",
    ] {
        let copy = place.copy("stopped");
        let outside = place.dir.path().join("outside");
        fs::write(&outside, "mine").unwrap();
        let link = run_folder(&place.config, copy.path()).join(name);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        let error = go(&place.config, copy.path(), u64::MAX).unwrap_err();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "mine", "{name}");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
}

#[test]
fn data_that_changed_is_refused_by_all() {
    let place = Place::new();
    let text = place.config.data.path().to_owned();
    fs::write(&text, "another text than before. ".repeat(80)).unwrap();
    let folder = run_folder(&place.config, &place.runs("finished"));
    let run = LoadedRun::open(&folder, &Device::flex()).unwrap();
    let eval = scored(&run).unwrap_err();
    let trained = go(&place.config, &place.runs("finished"), u64::MAX).unwrap_err();
    for error in [eval, trained] {
        let RunError::DataChanged { then, now, .. } = &error else {
            panic!("{error}");
        };
        assert!(
            then != now && error.to_string().contains(now.as_str()),
            "{error}"
        );
    }
}

/// Damage as it happens: bits, bytes, cuts, repeats, numbers, other files.
fn damage(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..bytes.len().max(1));
    match rng.random_range(0..7) {
        _ if bytes.is_empty() => bytes.extend(b"{}"),
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes.truncate(at),
        2 => {
            bytes.remove(at);
        }
        3 => bytes.insert(at, rng.next_u32() as u8),
        4 => {
            let piece: Vec<u8> = bytes[at..].iter().take(40).copied().collect();
            let to = rng.random_range(0..=bytes.len());
            bytes.splice(to..to, piece);
        }
        5 => {
            // a number becomes another
            let digits: Vec<usize> = (0..bytes.len())
                .filter(|&i| bytes[i].is_ascii_digit())
                .collect();
            if let Some(&digit) = digits.get(rng.random_range(0..digits.len().max(1))) {
                bytes.splice(digit..=digit, *b"9223372036854775807");
            }
        }
        _ => bytes
            .iter_mut()
            .skip(at)
            .take(8)
            .for_each(|byte| *byte = 0xFF),
    }
}

#[test]
fn random_damage_changes_no_number_and_makes_no_panic() {
    let place = Place::new();
    let n: usize = std::env::var("MOE_FUZZ").map_or(40, |n| n.parse().unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let mut refused = 0;
    for round in 0..n {
        let of = ["finished", "stopped"][round % 2];
        let files = files(&run_folder(&place.config, &place.runs(of)));
        let file = &files[rng.random_range(0..files.len())];
        let seed = rng.next_u64();
        let what = format!("{} with the seed {seed}", file.display());
        let both = place.hold(of, &what, |folder| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut bytes = fs::read(folder.join(file)).unwrap();
            for _ in 0..rng.random_range(1..4) {
                damage(&mut bytes, &mut rng);
            }
            fs::write(folder.join(file), bytes).unwrap();
        });
        refused += usize::from(both.contains(&true));
    }
    assert!(refused > n / 4, "{refused} of {n} were refused");
}

#[test]
fn the_weights_that_a_run_starts_from_belong_to_its_question() {
    let place = Place::new();
    let first = RunFolder::new(run_folder(&place.config, &place.runs("finished")));
    let mut second = place.config.clone();
    second.train.from = first.checkpoint(8).display().to_string();
    let (runs, parts) = (place.runs("from"), place.runs("from-in-parts"));
    let Outcome::Finished(expected) = go(&second, &runs, u64::MAX).unwrap() else {
        panic!("nobody stopped it");
    };
    assert!(matches!(
        go(&second, &parts, 5),
        Ok(Outcome::Interrupted { step: 5 })
    ));
    let Outcome::Finished(summary) = go(&second, &parts, u64::MAX).unwrap() else {
        panic!("nobody stopped it");
    };
    assert_eq!(summary, expected);

    let folder = run_folder(&second, &runs);
    fs::write(RunFolder::new(&folder).config(), place.config.to_toml()).unwrap();
    let error = LoadedRun::open(&folder, &Device::flex()).unwrap_err();
    assert!(matches!(error, RunError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("`train.from`"), "{error}");

    fs::write(first.checkpoint(8).join("model.bpk"), "other weights").unwrap();
    let error = go(&second, &place.runs("from-damaged"), u64::MAX).unwrap_err();
    assert!(matches!(error, RunError::Damaged { .. }), "{error}");
}
