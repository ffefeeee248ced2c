//! Finding a run by the path that the reader gives.

use crate::exit::Usage;
use moe_train::resolve::nearest;
use moe_view::quote;
use std::fs;
use std::path::{Path, PathBuf};

/// The run folder or checkpoint at `given`, or at `given` in the folder of all runs. The folder of a
/// configuration with one seed stands for that seed.
pub fn find(given: &Path, runs: &Path) -> anyhow::Result<PathBuf> {
    let candidates = [given.to_owned(), runs.join(given)];
    let Some(path) = candidates.into_iter().find(|path| path.exists()) else {
        return Err(Usage::error(missing(given, runs)));
    };
    let seeds = folders(&path, "seed-");
    match seeds.as_slice() {
        [] => Ok(path),
        [seed] => Ok(path.join(seed)),
        [first, ..] => Err(Usage::error(format!(
            "`{}` holds several runs: {}; give one, such as `{}`",
            path.display(),
            seeds.join(", "),
            path.join(first).display()
        ))),
    }
}

/// The path, or the one of that name in the folder of all runs.
pub fn existing(path: &Path, runs: &Path) -> PathBuf {
    let inside = runs.join(path);
    if !path.exists() && inside.exists() {
        inside
    } else {
        path.to_owned()
    }
}

/// A path as it could be typed.
pub fn shown(path: &Path) -> String {
    quote(&path.display().to_string())
}

fn missing(given: &Path, runs: &Path) -> String {
    let names = folders(runs, "");
    let wanted = given.display().to_string();
    let near = nearest(&wanted, names.iter().map(String::as_str));
    let hint = match (near, names.last()) {
        (Some(name), _) => format!("did you mean `{}`?", runs.join(name).display()),
        (None, Some(_)) => format!("`{}` holds {}", runs.display(), names.join(", ")),
        (None, None) => "train one first, `moe train CONFIG`".to_owned(),
    };
    format!("there is no run at `{wanted}`; {hint}")
}

/// The names of the folders in a folder that begin so, in order; none if it cannot be read.
fn folders(path: &Path, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}
