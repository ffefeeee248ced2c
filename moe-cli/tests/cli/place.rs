//! A folder with a configuration and text, and the program running in it.

use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
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
pub struct Place {
    pub dir: TempDir,
}

/// Exit code and output of a command.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("text")).unwrap();
        let english = "The quick brown fox jumps over the lazy dog. ".repeat(40);
        let french = "Le théâtre est fermé à midi, même en été. ".repeat(40);
        fs::write(dir.path().join("text/english.txt"), english).unwrap();
        fs::write(dir.path().join("text/french.txt"), french).unwrap();
        fs::write(dir.path().join("tiny.toml"), TINY).unwrap();
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moe"));
        command
            .args(words(line))
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub fn moe(&self, line: &str) -> Ended {
        Ended::from(self.command(line).output().unwrap())
    }

    /// Runs a command that must succeed, and returns its stdout as JSON.
    pub fn json(&self, line: &str) -> Value {
        let ended = self.moe(&format!("{line} --json"));
        assert_eq!(ended.code, 0, "{line}: {}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    pub fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The only run below a folder of runs.
    pub fn run_folder(&self, runs: &str) -> PathBuf {
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

/// A table without what depends on the speed of the machine.
pub fn without_speed(mut report: Value) -> Value {
    for arm in report["arms"].as_array_mut().unwrap() {
        arm["tokens_per_s"] = Value::Null;
        for seed in arm["seeds"].as_array_mut().unwrap() {
            seed["tokens_per_s"] = Value::Null;
        }
    }
    report
}
