//! The `moe` command: train, compare, inspect and sample mixture-of-experts models.
//!
//! Results go to stdout, progress and notes to stderr. Exit codes: 0 ok, 1 failed, 2 usage or
//! configuration, 3 finished but out of tolerance, 130 interrupted after saving.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod allocator;
mod args;
mod backends;
mod commands;
mod exit;
mod generation;
mod interrupt;
mod invocation;
mod memory;
mod runs;
mod shared;
mod target;
mod terminal;
mod threads;
mod usage;

use args::Cli;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_memory();
    match Cli::try_parse() {
        Ok(cli) => exit::run(|| {
            threads::start()?;
            threads::kept_awake(|| commands::run(&cli.command, &cli.shared))
        }),
        Err(error) => usage::explain(&error),
    }
}
