//! A file that a command writes: looked at before any work, and then written whole.

use crate::exit::Usage;
use crate::shared::Shared;
use anyhow::Context;
use clap::Args;
use moe_checkpoint::disk;
use moe_view::drawing::{DrawError, to_pdf, to_png};
use moe_view::export::{ExportError, HEADER, event_mark};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The flag of all commands that write a file which a flag names.
#[derive(Args, Debug, Clone, Copy)]
pub struct Overwrite {
    /// Replace the file even if this command did not make it
    #[arg(long)]
    force: bool,
}

/// The file that a flag writes.
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
    Page,
    /// A picture, in the format that the extension says.
    Picture,
    /// A table of the runs of an ablation.
    Runs,
    /// A LaTeX table.
    Latex,
    /// A Markdown table.
    Markdown,
    /// A table of numbers.
    Table,
    /// Events of TensorBoard.
    Events,
    /// A trace of routings.
    Trace,
}

impl Kind {
    fn formats(self) -> &'static [Format] {
        match self {
            Self::Page => &[Format::Html],
            Self::Picture => &[Format::Svg, Format::Png, Format::Pdf],
            Self::Runs => &[Format::RunsCsv],
            Self::Latex => &[Format::Latex],
            Self::Markdown => &[Format::Markdown],
            Self::Table => &[Format::Csv],
            Self::Events => &[Format::Events],
            Self::Trace => &[Format::Trace],
        }
    }

    /// The format that an extension says, or the first for a device, whose name says nothing.
    fn format(self, path: &Path) -> Option<Format> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let says = |format: &&Format| {
            let mut own = format.extensions().iter();
            extension.is_some_and(|given| own.any(|own| own.eq_ignore_ascii_case(given)))
        };
        self.formats().iter().find(says).copied()
    }
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Html,
    Svg,
    Png,
    Pdf,
    Csv,
    RunsCsv,
    Latex,
    Markdown,
    Events,
    Trace,
}

impl Format {
    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Html => &["html", "htm"],
            Self::Svg => &["svg"],
            Self::Png => &["png"],
            Self::Pdf => &["pdf"],
            Self::Csv => &["csv"],
            Self::RunsCsv => &["csv"],
            Self::Latex => &["tex"],
            Self::Markdown => &["md"],
            // of events.out.tfevents.moe
            Self::Events => &["moe"],
            Self::Trace => &["safetensors"],
        }
    }

    /// The words that the named command leaves at the beginning of a file.
    fn mark(self, maker: &str) -> String {
        match self {
            Self::Html => format!("<meta name=\"generator\" content=\"{maker}\">"),
            Self::Svg => format!("<metadata>made by {maker}</metadata>"),
            Self::Png => format!("Software\0{maker}"),
            Self::Pdf => format!("/Creator ({maker})"),
            // readers take no comment, so the columns are the mark
            Self::Csv => HEADER.join(","),
            Self::RunsCsv => "arm,evaluation,tuning,seed,".to_owned(),
            Self::Latex => format!("% made by {maker}"),
            Self::Markdown => format!("<!-- made by {maker} -->"),
            Self::Events => event_mark(maker),
            // the words of the format, which name no command
            Self::Trace => "\"format\":\"moe-trace\"".to_owned(),
        }
    }

    /// The file of a page or of an SVG, with its mark. Numbers come with theirs.
    fn bytes(self, text: &str, maker: &str) -> Result<Vec<u8>, DrawError> {
        match self {
            Self::Html => Ok(self.marked("<head>\n", text, maker)),
            Self::Svg => Ok(self.marked(">\n", text, maker)),
            Self::Png => to_png(text, maker),
            Self::Pdf => to_pdf(text, maker),
            Self::Csv | Self::RunsCsv | Self::Events | Self::Trace => Ok(text.as_bytes().to_vec()),
            Self::Latex | Self::Markdown => {
                Ok(format!("{}\n{text}", self.mark(maker)).into_bytes())
            }
        }
    }

    /// The text with its mark behind the first line that may be followed by one.
    fn marked(self, head: &str, text: &str, maker: &str) -> Vec<u8> {
        let mark = format!("{head}{}\n", self.mark(maker));
        text.replacen(head, &mark, 1).into_bytes()
    }
}

/// A file that may be written: a new one, one that the same command made before, or a device or pipe.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    output: Output,
    format: Format,
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
            if output.kind.format(path).is_none() {
                let wanted = wanted(output.kind);
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
        let format = output.kind.format(path);
        Self {
            path: path.to_owned(),
            output,
            format: format.unwrap_or(output.kind.formats()[0]),
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

    /// Writes a page or an SVG in the file's format, which appears whole or not at all, and says so.
    pub fn write(&self, text: &str, shared: &Shared) -> anyhow::Result<()> {
        let shown = self.path.display();
        self.format
            .bytes(text, self.output.maker)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| Ok(disk::write_whole(&self.path, &bytes)?))
            .with_context(|| format!("cannot write `{shown}`"))?;
        shared.note(&format!("wrote {shown}"));
        Ok(())
    }

    /// Writes numbers in pieces, otherwise as [`write`](Self::write) does. What `fill` returns is passed on.
    pub fn write_with<T>(
        &self,
        fill: impl FnOnce(&mut dyn Write) -> Result<T, ExportError>,
        shared: &Shared,
    ) -> anyhow::Result<T> {
        let shown = self.path.display();
        let filled = disk::write_whole_with(&self.path, fill)
            .with_context(|| format!("cannot write `{shown}`"))?;
        shared.note(&format!("wrote {shown}"));
        Ok(filled)
    }

    /// The command that makes such files.
    pub fn maker(&self) -> &'static str {
        self.output.maker
    }

    /// Its place.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Tells whether a path leads to something that is written to as it is: a device, a pipe, or what a process has
/// open, as `/dev/stdout` does.
fn is_stream(path: &Path) -> bool {
    let open = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"];
    open.iter().any(|open| path.starts_with(open))
        || path.metadata().is_ok_and(|found| !found.is_file())
}

/// The extensions to choose from: `.svg, .png or .pdf`.
fn wanted(kind: Kind) -> String {
    let extensions = kind.formats().iter().flat_map(|format| format.extensions());
    let mut wanted: Vec<String> = extensions.map(|own| format!(".{own}")).collect();
    match wanted.pop() {
        Some(last) if !wanted.is_empty() => format!("{} or {last}", wanted.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// Tells whether a file begins like one of the command, in the format that its extension says.
fn is_made_by(path: &Path, output: Output) -> anyhow::Result<bool> {
    let mut head = Vec::new();
    disk::open_regular(path)
        .and_then(|file| file.take(512).read_to_end(&mut head))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let mark = output
        .kind
        .format(path)
        .map(|format| format.mark(output.maker));
    Ok(mark.is_some_and(|mark| String::from_utf8_lossy(&head).contains(&mark)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const PICTURE: Output = Output {
        flag: "-o",
        maker: "moe figure",
        kind: Kind::Picture,
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
    fn pixels_and_sheets_are_known_as_the_commands_own() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"4\">\n</svg>\n";
        for (name, first) in [("a.png", "\u{fffd}PNG"), ("a.PDF", "%PDF-1.7")] {
            let file = folder.path().join(name);
            for (maker, refused) in [("moe figure", false), ("moe ablate", true)] {
                let format = Kind::Picture.format(&file).expect("a format");
                let bytes = format.bytes(svg, maker).expect("a picture");
                assert!(String::from_utf8_lossy(&bytes).starts_with(first));
                fs::write(&file, bytes).expect("a file");
                assert_eq!(problem(&file).ends_with("or add --force"), refused);
            }
        }
    }

    #[test]
    fn another_extension_is_refused() {
        for name in ["a.csv", "a", "a.svg.jpg"] {
            let problem = problem(&std::env::temp_dir().join(name));
            assert!(problem.ends_with("this writes .svg, .png or .pdf; end the name so"));
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
