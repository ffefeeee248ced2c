//! The `moe` command: train, compare, inspect and sample mixture-of-experts models.
//!
//! Results go to stdout, progress and notes to stderr. Exit codes: 0 ok, 1 failed, 2 usage or
//! configuration, 3 finished but out of tolerance, 130 interrupted after saving.

mod allocator;
mod args;
mod backends;
mod commands;
mod drawing;
mod exit;
mod figure;
mod generation;
mod interrupt;
mod invocation;
mod memory;
mod pages;
mod runs;
mod shared;
mod target;
mod terminal;
mod threads;
mod usage;

use args::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_memory();
    match Cli::read() {
        Ok((command, shared)) => exit::run(|| {
            threads::start()?;
            threads::kept_awake(|| commands::run(&command, &shared))
        }),
        Err(error) => usage::explain(&error),
    }
}
