//! A file that a command writes: looked at before any work, and then written whole.

use crate::exit::Usage;
use crate::shared::Shared;
use anyhow::Context;
use clap::Args;
use moe_models::disk;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The flag of all commands that write a page or a picture.
#[derive(Args, Debug, Clone, Copy)]
pub struct Overwrite {
    /// Replace the file even if this command did not make it
    #[arg(long)]
    force: bool,
}

/// What a flag writes.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The flag, as in `--html`.
    pub flag: &'static str,
    /// The command, which leaves its name in the file.
    pub maker: &'static str,
    /// The kind of file.
    pub kind: Kind,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page.
    Html,
    /// A picture.
    Svg,
}

impl Kind {
    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Html => &["html", "htm"],
            Self::Svg => &["svg"],
        }
    }

    /// The words that the named command leaves at the beginning of a file.
    fn mark(self, maker: &str) -> String {
        match self {
            Self::Html => format!("<meta name=\"generator\" content=\"{maker}\">"),
            Self::Svg => format!("<metadata>made by {maker}</metadata>"),
        }
    }

    /// The line that the mark stands behind: the first that may be followed by one.
    fn before_mark(self) -> &'static str {
        match self {
            Self::Html => "<head>\n",
            Self::Svg => ">\n",
        }
    }
}

/// A file that may be written: a new one, one that the same command made before, or a device or pipe.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    output: Output,
}

impl Target {
    /// Refuses, before any work, another extension, a folder that does not exist, and a file that the
    /// command did not make.
    pub fn check(path: &Path, output: Output, overwrite: Overwrite) -> anyhow::Result<Self> {
        let refuse = |what: String| {
            let (flag, path) = (output.flag, path.display());
            Err(Usage::error(format!("{flag} {path}: {what}")))
        };
        if path.is_dir() {
            return refuse("this is a folder; give a file".to_owned());
        }
        if let Err(problem) = disk::check_writable(path) {
            return refuse(problem.to_string());
        }
        if !is_stream(path) {
            if let Some(wanted) = wanted_extension(path, output.kind) {
                return refuse(format!("this writes {wanted}; end the name so"));
            }
            if !overwrite.force && path.exists() && !is_made_by(path, output)? {
                return refuse(format!(
                    "this file is there and was not made by `{}`; give another name, delete it first, or add --force",
                    output.maker
                ));
            }
        }
        Ok(Self::new(path, output))
    }

    /// A file in a folder that is still to be made, where nothing can be in the way.
    pub fn new(path: &Path, output: Output) -> Self {
        Self {
            path: path.to_owned(),
            output,
        }
    }

    /// Checks a path if one is given.
    pub fn of(
        path: Option<&Path>,
        output: Output,
        overwrite: Overwrite,
    ) -> anyhow::Result<Option<Self>> {
        path.map(|path| Self::check(path, output, overwrite))
            .transpose()
    }

    /// Writes the page or picture, which appears whole or not at all, and says so.
    pub fn write(&self, text: &str, shared: &Shared) -> anyhow::Result<()> {
        let Output { maker, kind, .. } = self.output;
        let head = kind.before_mark();
        let marked = text.replacen(head, &format!("{head}{}\n", kind.mark(maker)), 1);
        let shown = self.path.display();
        disk::write_whole(&self.path, marked.as_bytes())
            .with_context(|| format!("cannot write `{shown}`"))?;
        shared.note(&format!("wrote {shown}"));
        Ok(())
    }

    /// Its place.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a path leads to something that is written to as it is: a device, a pipe, or what a process has
/// open, as `/dev/stdout` does.
fn is_stream(path: &Path) -> bool {
    let open = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"];
    open.iter().any(|open| path.starts_with(open))
        || path.metadata().is_ok_and(|found| !found.is_file())
}

/// The extensions to choose from, if the file has none of them.
fn wanted_extension(path: &Path, kind: Kind) -> Option<String> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_wanted = |wanted: &&str| extension.is_some_and(|own| own.eq_ignore_ascii_case(wanted));
    let wanted = kind.extensions();
    if wanted.iter().any(is_wanted) {
        return None;
    }
    let wanted: Vec<String> = wanted.iter().map(|wanted| format!(".{wanted}")).collect();
    Some(wanted.join(" or "))
}

/// Whether a file begins like one of the command.
fn is_made_by(path: &Path, output: Output) -> anyhow::Result<bool> {
    let mut head = Vec::new();
    disk::open_regular(path)
        .and_then(|file| file.take(512).read_to_end(&mut head))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let mark = output.kind.mark(output.maker);
    Ok(String::from_utf8_lossy(&head).contains(&mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const PICTURE: Output = Output {
        flag: "-o",
        maker: "moe figure",
        kind: Kind::Svg,
    };

    fn problem(path: &Path) -> String {
        let kept = Overwrite { force: false };
        let checked = Target::check(path, PICTURE, kept);
        checked.map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn what_others_made_is_kept_unless_forced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("a.svg");
        assert_eq!(problem(&file), "");
        for other in ["", "mine", "<svg>\n<metadata>made by moe ablate</metadata>"] {
            fs::write(&file, other).expect("a file");
            assert!(problem(&file).ends_with("or add --force"), "{other}");
            Target::check(&file, PICTURE, Overwrite { force: true }).expect("forced");
        }
        fs::write(&file, "<svg>\n<metadata>made by moe figure</metadata>\n").expect("a file");
        assert_eq!(problem(&file), "");
    }

    #[test]
    fn another_extension_is_refused() {
        for name in ["a.csv", "a", "a.svg.png"] {
            let problem = problem(&std::env::temp_dir().join(name));
            assert!(problem.ends_with("this writes .svg; end the name so"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_no_files_to_judge() {
        for device in ["/dev/null", "/dev/stdout", "/dev/fd/1"] {
            assert_eq!(problem(Path::new(device)), "", "{device}");
        }
    }
}
