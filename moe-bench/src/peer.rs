//! Other frameworks as child processes that serve timings on request, so that their samples and ours
//! alternate in one call.
//!
//! A peer is a script that answers lines of JSON; `peers/torch_layer.py` says which.

use crate::contest::Contestant;
use crate::workloads::Workload;
use moe_experts::Activation;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;
use thiserror::Error;

use crate::pass::Pass;

const SCRIPT: &str = include_str!("../peers/torch_layer.py");

/// Reasons why a peer cannot be timed.
#[derive(Debug, Error)]
pub enum PeerError {
    /// The program does not start.
    #[error(
        "the peer `{peer}` does not start: {program}: {source}. Give the path of a Python with torch"
    )]
    Start {
        /// The peer's name.
        peer: String,
        /// Program that was to be run.
        program: String,
        /// Error of the system.
        source: io::Error,
    },
    /// The process ended, or its pipe broke.
    #[error(
        "the peer `{peer}` ended: {reason}. What it printed stands above; `PYTHON -c 'import torch'` must work"
    )]
    Ended {
        /// The peer's name.
        peer: String,
        /// Fault that was noticed.
        reason: String,
    },
    /// The process answered with an error or with something else than was asked for.
    #[error("the peer `{peer}` cannot do what it was asked to: {reason}")]
    Answer {
        /// The peer's name.
        peer: String,
        /// Answer of the peer.
        reason: String,
    },
}

/// A peer to start: its name and the program that runs its script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerChoice {
    kind: PeerKind,
    program: String,
}

/// The peers that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PeerKind {
    /// PyTorch as it comes.
    Torch,
    /// PyTorch with an allocator that gives nothing back to the system.
    TorchKept,
}

/// A running peer.
#[derive(Debug)]
pub struct Peer {
    name: String,
    version: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// First message of a peer's process.
#[derive(serde::Deserialize)]
struct Greeting {
    version: String,
    threads: usize,
}

/// The ways in which a peer computes a workload, each with the assignments that it computes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Ways {
    /// Assignments computed, by way; one of them is `dense`.
    pub rows: BTreeMap<String, usize>,
}

#[derive(serde::Deserialize)]
struct Sample {
    seconds: f64,
}

#[derive(serde::Deserialize)]
struct Nothing {}

impl PeerKind {
    const ALL: [Self; 2] = [Self::Torch, Self::TorchKept];

    fn name(self) -> &'static str {
        match self {
            Self::Torch => "torch",
            Self::TorchKept => "torch-kept",
        }
    }

    /// glibc gives large blocks back after each call and takes the page faults again, unless told.
    fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Torch => &[],
            Self::TorchKept => &[
                ("MALLOC_MMAP_MAX_", "0"),
                ("MALLOC_TRIM_THRESHOLD_", "8589934592"),
            ],
        }
    }
}

impl FromStr for PeerChoice {
    type Err = String;

    /// Reads `NAME=PYTHON`.
    fn from_str(text: &str) -> Result<Self, String> {
        let names = PeerKind::ALL.map(PeerKind::name).join(", ");
        let Some((name, program)) = text.split_once('=') else {
            return Err(format!("write NAME=PYTHON; names are {names}"));
        };
        let kind = PeerKind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| format!("there is no peer `{name}`; there are {names}"))?;
        if program.is_empty() {
            return Err(format!("write {name}=PYTHON, the program to run"));
        }
        Ok(Self {
            kind,
            program: program.to_owned(),
        })
    }
}

impl PeerChoice {
    /// The peer's name.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Starts the process with as many threads as this one uses, and waits until it has loaded.
    ///
    /// # Errors
    ///
    /// The program does not start or does not greet.
    pub fn start(&self) -> Result<Peer, PeerError> {
        let threads = rayon::current_num_threads();
        let name = self.name().to_owned();
        let mut child = Command::new(&self.program)
            .args(["-c", SCRIPT, "--threads", &threads.to_string()])
            .envs(self.kind.environment().iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| PeerError::Start {
                peer: name.clone(),
                program: self.program.clone(),
                source,
            })?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        let mut peer = Peer {
            name,
            version: String::new(),
            child,
            stdin,
            stdout: BufReader::new(stdout),
        };
        let greeting: Greeting = peer.read()?;
        if greeting.threads != threads {
            return Err(peer.answer(format!("it has {} threads", greeting.threads)));
        }
        peer.version = greeting.version;
        Ok(peer)
    }
}

impl Peer {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the framework.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Builds a workload, beside those built before.
    ///
    /// # Errors
    ///
    /// The peer has ended or cannot build it.
    pub fn prepare(
        &mut self,
        workload: &Workload,
        activation: Activation,
        pass: Pass,
    ) -> Result<Ways, PeerError> {
        self.ask(&json!({
            "do": "prepare",
            "workload": workload,
            "activation": activation,
            "pass": pass,
        }))
    }

    /// The seconds of one call.
    ///
    /// # Errors
    ///
    /// The peer has ended or has not been told of the workload.
    pub fn sample(&mut self, workload: &str, way: &str) -> Result<f64, PeerError> {
        let request = json!({ "do": "sample", "workload": workload, "way": way });
        let sample: Sample = self.ask(&request)?;
        Ok(sample.seconds)
    }

    /// Frees all workloads.
    ///
    /// # Errors
    ///
    /// The peer has ended.
    pub fn forget(&mut self) -> Result<(), PeerError> {
        let Nothing {} = self.ask(&json!({ "do": "forget" }))?;
        Ok(())
    }

    /// One way of a peer as a contestant.
    pub fn contestant<'a>(
        peer: &'a RefCell<Self>,
        workload: &'a str,
        way: String,
    ) -> Contestant<'a, PeerError> {
        Contestant::new(move || peer.borrow_mut().sample(workload, &way))
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &impl Serialize) -> Result<T, PeerError> {
        let line = serde_json::to_string(request).expect("a request is JSON");
        let stdin = self.stdin.as_mut().expect("it is open until the drop");
        let written = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        written.map_err(|error| self.ended(error.to_string()))?;
        self.read()
    }

    fn read<T: DeserializeOwned>(&mut self) -> Result<T, PeerError> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line) {
            Ok(0) => return Err(self.ended("it closed its output".to_owned())),
            Ok(_) => {}
            Err(error) => return Err(self.ended(error.to_string())),
        }
        let value: Value = serde_json::from_str(&line)
            .map_err(|_| self.answer(format!("`{}` is no JSON", line.trim_end())))?;
        if let Some(error) = value.get("error") {
            return Err(self.answer(error.to_string()));
        }
        serde_json::from_value(value).map_err(|error| self.answer(error.to_string()))
    }

    fn ended(&self, reason: String) -> PeerError {
        let peer = self.name.clone();
        PeerError::Ended { peer, reason }
    }

    fn answer(&self, reason: String) -> PeerError {
        let peer = self.name.clone();
        PeerError::Answer { peer, reason }
    }
}

impl Drop for Peer {
    /// Closes the process's input, at which it ends.
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_name_and_a_program() {
        let choice: PeerChoice = "torch-kept=/bin/python".parse().unwrap();
        assert_eq!(choice.name(), "torch-kept");
        assert_eq!(choice.program, "/bin/python");
        for (text, needle) in [
            ("torch", "NAME=PYTHON"),
            ("jax=python", "no peer `jax`; there are torch, torch-kept"),
            ("torch=", "the program to run"),
        ] {
            let error = text.parse::<PeerChoice>().unwrap_err();
            assert!(error.contains(needle), "{error}");
        }
    }

    fn start(program: &str) -> String {
        let choice: PeerChoice = format!("torch={program}").parse().unwrap();
        choice.start().unwrap_err().to_string()
    }

    #[test]
    fn a_program_that_is_none_or_says_nothing_is_an_error() {
        let error = start("/nowhere/python");
        assert!(error.contains("`torch` does not start: /nowhere/python"));
        let error = start("true");
        assert!(error.contains("closed its output"), "{error}");
        // prints its arguments, the first of which is no JSON
        let error = start("echo");
        assert!(error.contains("`torch` cannot do"), "{error}");
    }
}
