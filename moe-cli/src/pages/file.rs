use crate::exit::Usage;
use crate::files::{missing_folder, write_whole};
use anyhow::Context;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file that a page may be written to: a new one, or a page that the same command made before.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
}

impl Target {
    /// Refuses, before any work, a folder that does not exist and a file that is something else.
    pub fn check(path: &Path, generator: &str) -> anyhow::Result<Self> {
        if let Some(problem) = missing_folder("--out", path) {
            return Err(Usage::error(problem));
        }
        let shown = path.display();
        if path.is_dir() {
            return Err(Usage::error(format!(
                "--out {shown}: this is a folder; give a file"
            )));
        }
        if path.exists() && !is_made_by(path, generator)? {
            return Err(Usage::error(format!(
                "--out {shown}: this file is there and was not made by `{generator}`; give another name, or delete it first"
            )));
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Writes the page, which appears whole or not at all.
    pub fn write(&self, page: &str) -> anyhow::Result<()> {
        write_whole(&self.path, page)
    }

    /// Where it goes.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a file begins like a page of the command.
fn is_made_by(path: &Path, generator: &str) -> anyhow::Result<bool> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(512).read_to_end(&mut head))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let mark = format!("<meta name=\"generator\" content=\"{generator}\">");
    Ok(String::from_utf8_lossy(&head).contains(&mark))
}
