//! `moe completions`: a completion script for a shell.

use crate::args::Cli;
use crate::exit::Status;
use crate::terminal::print_raw;
use clap::Args;
use clap_complete::Shell;

/// The arguments of `moe completions`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  moe completions bash > ~/.local/share/bash-completion/completions/moe"
)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<Status> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::definition(), "moe", &mut script);
    print_raw(&String::from_utf8_lossy(&script))?;
    Ok(Status::Done)
}
