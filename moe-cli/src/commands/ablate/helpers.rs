//! Other processes that work on the same runs: `--jobs N` starts `N - 1` copies of this command.
//!
//! A run is held by the process that trains it, so each takes the next one that nobody holds. A helper prints a line
//! for each run that it finishes and nothing else. It saves and stops when its standard input ends, which happens when
//! this process lets go of it, however that comes about.

use anyhow::Context;
use std::env;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The environment variable that makes a process a helper.
const HELPER: &str = "MOE_ABLATE_HELPER";

/// Tells whether this process is a helper of another.
pub(super) fn is_helper() -> bool {
    env::var_os(HELPER).is_some()
}

/// Sets the flag once the process that started this helper lets go of it.
pub(super) fn stop_with_parent(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        // neither words nor errors matter, only the end
        let _ = io::stdin().read_to_end(&mut Vec::new());
        stop.store(true, Ordering::SeqCst);
    });
}

/// Helpers at work; they are told to save and stop when this is dropped.
#[derive(Debug)]
pub(super) struct Helpers(Vec<Child>);

impl Helpers {
    /// Starts `n` helpers with this process's own arguments.
    pub(super) fn start(n: usize) -> anyhow::Result<Self> {
        let program = env::current_exe().context("cannot find this program to start it again")?;
        let mut helpers = Self(Vec::new());
        for _ in 0..n {
            let mut command = Command::new(&program);
            command
                .args(env::args_os().skip(1))
                .env(HELPER, "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::null());
            apart(&mut command);
            let child = command.spawn().context("cannot start a helper")?;
            helpers.0.push(child);
        }
        Ok(helpers)
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.stdin.take());
        }
        for child in &mut self.0 {
            // its own failure is its own line, and the run is tried again by this process
            let _ = child.wait();
        }
    }
}

/// Keeps Ctrl-C of the terminal from the helpers: it would reach them twice, and the second stops at once.
#[cfg(unix)]
fn apart(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn apart(_command: &mut Command) {}
