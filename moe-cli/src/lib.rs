//! The `moe` command as a library: [`run`] is the whole program, with routers of the reader's own in it.
//!
//! Results go to stdout, progress and notes to stderr. Exit codes: 0 ok, 1 failed, 2 usage or
//! configuration, 3 finished but out of tolerance, 4 a worker left runs to others, 130 interrupted after saving.

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
mod table_files;
mod target;
mod terminal;
mod threads;
mod usage;
mod world;

use args::Cli;
use moe_router::Registry;
use std::process::ExitCode;
use terminal::say;

/// Runs the command with the routers of a registry: the built-in ones, and those that a crate of the reader's
/// adds.
///
/// ```no_run
/// use moe_router::{Registry, zoo::MixtralRouterConfig};
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     moe_cli::run(Registry::builtin().with::<MixtralRouterConfig>("mine"))
/// }
/// ```
pub fn run(routers: Registry) -> ExitCode {
    allocator::keep_memory();
    if let Err(error) = routers.install() {
        say(format!("error: {error}"));
        return ExitCode::from(2);
    }
    match Cli::read() {
        Ok((command, shared)) => {
            exit::run(|| world::run(shared, &command, |shared| commands::run(&command, shared)))
        }
        Err(error) => usage::explain(&error),
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
