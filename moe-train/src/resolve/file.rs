//! A configuration file: its table, and the line of each key.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use moe_checkpoint::disk;
use toml::de::DeTable;

use super::ResolveError;
use super::known::split;
use super::nearest::nearest;

/// The most bytes of a configuration file.
const MOST: u64 = 1 << 24;

/// A configuration file: its table, and the line of each key for messages.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFile {
    path: PathBuf,
    table: toml::Table,
    lines: BTreeMap<String, usize>,
}

impl ConfigFile {
    /// Reads and parses a TOML file.
    ///
    /// # Errors
    ///
    /// [`FileMissing`](ResolveError::FileMissing) with the nearest file name of the directory,
    /// [`FileUnreadable`](ResolveError::FileUnreadable), or
    /// [`Syntax`](ResolveError::Syntax) with line and column.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ResolveError> {
        let path = path.as_ref();
        if path.is_dir() {
            return Err(ResolveError::Folder {
                path: path.into(),
                hint: held_by(path),
            });
        }
        let text = disk::read_text(path, MOST).map_err(|source| match source.kind() {
            ErrorKind::NotFound => ResolveError::FileMissing {
                path: path.into(),
                hint: missing_hint(path),
            },
            _ => ResolveError::FileUnreadable {
                path: path.into(),
                source,
            },
        })?;

        Self::parse(path, &text)
    }

    /// Parses the text of a TOML file; `path` is used in messages only.
    ///
    /// # Errors
    ///
    /// [`Syntax`](ResolveError::Syntax) with line and column.
    pub fn parse(path: impl Into<PathBuf>, text: &str) -> Result<Self, ResolveError> {
        let path = path.into();
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => return Err(syntax_error(path, text, &error)),
        };
        let mut lines = BTreeMap::new();
        if let Ok(spanned) = DeTable::parse(text) {
            let starts = line_starts(text);
            collect_lines(spanned.get_ref(), "", &starts, &mut lines);
        }

        Ok(Self { path, table, lines })
    }

    /// A table of the file as if it were a file of its own, its keys on the lines of this one; `None`
    /// if the file has no such table.
    pub fn part(&self, name: &str) -> Option<Self> {
        let prefix = format!("{name}.");
        let line =
            |(key, line): (&String, &usize)| Some((key.strip_prefix(&prefix)?.into(), *line));
        Some(Self {
            path: self.path.clone(),
            table: self.table.get(name)?.as_table()?.clone(),
            lines: self.lines.iter().filter_map(line).collect(),
        })
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Content of the file, unchecked.
    pub fn table(&self) -> &toml::Table {
        &self.table
    }

    /// Adds a dotted key to the table that holds `neighbour`, as if it stood on the same line.
    pub(super) fn add_beside(&mut self, neighbour: &str, key: &str, value: toml::Value) {
        let (outer, name) = split(key);
        let table = outer.split('.').try_fold(&mut self.table, |table, name| {
            table.get_mut(name)?.as_table_mut()
        });
        if let Some(table) = table {
            table.insert(name.to_owned(), value);
            if let Some(&line) = self.lines.get(neighbour) {
                self.lines.insert(key.to_owned(), line);
            }
        }
    }

    /// Place of a dotted key: `path:line`, or the path alone for a key that the file lacks.
    pub fn place(&self, key: &str) -> String {
        match self.lines.get(key) {
            Some(line) => format!("{}:{line}", self.path.display()),
            None => self.path.display().to_string(),
        }
    }
}

fn syntax_error(path: PathBuf, text: &str, error: &toml::de::Error) -> ResolveError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or(text);

    ResolveError::Syntax {
        path,
        line: line_of(&line_starts(text), start),
        column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
        message: error.message().replace('\n', ", "),
    }
}

/// The offsets at which lines begin, but the first.
fn line_starts(text: &str) -> Vec<usize> {
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    ends.map(|(end, _)| end + 1).collect()
}

/// The line of an offset, counted from 1.
fn line_of(starts: &[usize], offset: usize) -> usize {
    starts.partition_point(|start| *start <= offset) + 1
}

fn collect_lines(
    table: &DeTable<'_>,
    prefix: &str,
    starts: &[usize],
    lines: &mut BTreeMap<String, usize>,
) {
    for (name, value) in table {
        let key = super::known::join(prefix, name.get_ref());
        lines.insert(key.clone(), line_of(starts, name.span().start));
        if let Some(inner) = value.get_ref().as_table() {
            collect_lines(inner, &key, starts, lines);
        }
    }
}

fn missing_hint(path: &Path) -> String {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let Some(names) = files_in(directory) else {
        return format!("the directory `{}` does not exist", directory.display());
    };
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();

    match nearest(&wanted, names.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{}`?", path.with_file_name(name).display()),
        None => held_by(directory),
    }
}

/// The configuration files in a directory, in words.
fn held_by(directory: &Path) -> String {
    let names = files_in(directory).unwrap_or_default();
    if names.is_empty() {
        format!("`{}` holds no .toml file", directory.display())
    } else {
        format!("`{}` holds {}", directory.display(), names.join(", "))
    }
}

/// The names of the configuration files in a directory, sorted; none if it cannot be listed.
fn files_in(directory: &Path) -> Option<Vec<String>> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .ok()?
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    Some(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Instant;

    const TEXT: &str = "seed = 0\n\n[router]\nname = \"switch\"\nlimits.drop = 1\n";

    #[test]
    fn keys_know_their_lines() {
        let file = ConfigFile::parse("a.toml", TEXT).unwrap();

        assert_eq!(file.place("seed"), "a.toml:1");
        assert_eq!(file.place("router"), "a.toml:3");
        assert_eq!(file.place("router.name"), "a.toml:4");
        assert_eq!(file.place("router.limits.drop"), "a.toml:5");
        assert_eq!(file.place("train.lr"), "a.toml");
    }

    #[test]
    fn the_lines_of_many_keys_are_found_in_time() {
        let text: String = (0..400_000).map(|i| format!("k{i} = 0\n")).collect();
        let start = Instant::now();
        let file = ConfigFile::parse("a.toml", &text).unwrap();
        assert_eq!(file.place("k399999"), "a.toml:400000");
        // Minutes if each key counts the lines before it.
        let seconds = start.elapsed().as_secs_f64();
        assert!(seconds < 30.0, "{seconds} s");
    }

    #[test]
    fn a_part_keeps_its_lines() {
        let file = ConfigFile::parse("a.toml", TEXT).unwrap();
        let part = file.part("router").unwrap();
        assert_eq!(part.table()["name"].as_str(), Some("switch"));
        assert_eq!(part.place("name"), "a.toml:4");
        assert_eq!(part.place("limits.drop"), "a.toml:5");
        assert!(file.part("seed").is_none() && file.part("train").is_none());
    }

    #[test]
    fn broken_toml_says_line_and_column() {
        // The `]` is missing after `router`: the error stands at line 2, after the name.
        let error = ConfigFile::parse("a.toml", "seed = 0\n[router\nx = 1\n").unwrap_err();
        let message = error.to_string();

        assert!(
            message.starts_with("a.toml:2:8: this is not valid TOML: "),
            "{message}"
        );
        assert!(message.contains("expected `]`"), "{message}");
    }

    #[test]
    fn repeated_key_is_a_syntax_error() {
        let error = ConfigFile::parse("a.toml", "seed = 0\nseed = 1\n").unwrap_err();

        assert_eq!(
            error.to_string(),
            "a.toml:2:1: this is not valid TOML: duplicate key"
        );
    }

    #[test]
    fn missing_file_hints_its_neighbour() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("mixtral.toml");
        std::fs::write(&real, TEXT).unwrap();
        let wrong = directory.path().join("mixtrl.toml");

        let message = ConfigFile::read(&wrong).unwrap_err().to_string();
        assert_eq!(
            message,
            format!(
                "there is no configuration file `{}`; did you mean `{}`?",
                wrong.display(),
                real.display()
            )
        );

        let message = ConfigFile::read(directory.path().join("zzz"))
            .unwrap_err()
            .to_string();
        assert!(message.ends_with("holds mixtral.toml"), "{message}");
    }

    #[test]
    fn missing_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("none/a.toml");

        let message = ConfigFile::read(path).unwrap_err().to_string();
        assert!(message.ends_with("none` does not exist"), "{message}");
    }

    #[test]
    fn a_folder_is_named_as_one() {
        let directory = tempfile::tempdir().unwrap();

        let error = ConfigFile::read(directory.path()).unwrap_err();
        assert!(matches!(error, ResolveError::Folder { .. }));
    }

    #[test]
    fn reading_gives_table_and_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        std::fs::write(&path, TEXT).unwrap();

        let file = ConfigFile::read(&path).unwrap();
        assert_eq!(file.path(), path);
        assert_eq!(file.table()["router"]["name"].as_str(), Some("switch"));
    }
}
