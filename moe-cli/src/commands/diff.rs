//! `moe diff`: the keys in which two runs or configurations differ.

use crate::exit::{Status, run_error};
use crate::runs::find;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::Args;
use moe_lab::runs::{Comparison, Side};
use moe_view::difference_text;
use std::path::{Path, PathBuf};

/// The arguments of `moe diff`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe diff runs/NAME/seed-0 runs/OTHER/seed-0\n  moe diff NAME/seed-0 configs/quickstart.toml\n\nResolved configurations are compared: a default that changes with the router is a difference too."
)]
pub struct DiffArgs {
    /// A run (its folder, or its name in the folder of runs) or a configuration
    #[arg(value_name = "A")]
    first: PathBuf,
    /// Another run or configuration
    #[arg(value_name = "B")]
    second: PathBuf,
}

/// Compares the two and prints what differs.
pub fn run(args: &DiffArgs, shared: &Shared) -> anyhow::Result<Status> {
    let sides = [side(&args.first, shared)?, side(&args.second, shared)?];
    let found = Comparison::of(sides);
    if shared.json {
        print_json(&found)?;
        return Ok(Status::Done);
    }
    print(&difference_text(&found))?;
    for side in found.sides.iter().filter(|side| side.is_unfinished()) {
        let path = side.path.display();
        shared.note(&format!("{path} is not finished and has no score yet"));
    }
    Ok(Status::Done)
}

/// The configuration in a file, or else the run of that name.
fn side(given: &Path, shared: &Shared) -> anyhow::Result<Side> {
    // a name that ends as a file's, and is none, is looked for among files
    let is_file = given.extension().is_some_and(|end| end == "toml") && !given.is_dir();
    let path = if is_file || given.is_file() {
        given.to_owned()
    } else {
        find(given, &shared.runs)?
    };
    Side::read(&path).map_err(run_error)
}
