//! The `moe` command: train, compare, inspect and sample mixture-of-experts models.

use moe_router::Registry;
use std::process::ExitCode;

fn main() -> ExitCode {
    moe_cli::run(Registry::builtin())
}
