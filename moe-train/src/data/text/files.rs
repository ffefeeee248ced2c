//! The user's own text as a [`Corpus`]: a file, a folder, or several of them.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use super::formats::table_kind;
use super::prepared::read_prepared;
use super::table::{TableError, documents};
use crate::data::corpora::{CorpusError, is_prepared};
use crate::data::read::{check_stop, io_error, read_text};
use crate::data::{Corpus, DataError, Domain};
use std::sync::atomic::AtomicBool;

/// Source of one domain: a file, or all files below a folder.
struct Source {
    name: String,
    path: PathBuf,
}

impl Corpus {
    /// Reads text in UTF-8 from `path`.
    ///
    /// | `path` | domains |
    /// | --- | --- |
    /// | a file | one, named by the file's stem |
    /// | a folder | one for each subfolder (all files below it) and one for each file directly in it |
    /// | several, separated by commas | one for each file (by its stem) or folder (all files below it) |
    ///
    /// Files are taken in the order of their paths. One that ends in `.gz` or `.zst` is unpacked; of `.csv`, `.tsv` and
    /// `.jsonl` files the texts in `column` are read, which is empty for others. Files and folders whose name
    /// starts with a dot are skipped; anything else that is not text in UTF-8 is an error, never skipped in
    /// silence. A path that exists with a comma in its name is one path. A folder that `moe data prepare` made has
    /// the domains and parts of its manifest.
    ///
    /// # Errors
    ///
    /// A path that does not exist, a folder without files, an empty file, a file that is not UTF-8, two
    /// domains of one name, a column that is not there, a refusal of the operating system, or a request to
    /// stop.
    pub fn from_path(
        path: impl AsRef<Path>,
        column: &str,
        stop: &AtomicBool,
    ) -> Result<Self, DataError> {
        let path = path.as_ref();
        if is_prepared(path) && column.is_empty() {
            return read_prepared(path, stop);
        }
        let sources = sources(path)?;
        check_names(&sources)?;
        let domains = sources.iter().map(|source| source.read(column, stop));
        let domains = domains.collect::<Result<_, _>>()?;
        Ok(Self {
            name: path.display().to_string(),
            domains,
        })
    }
}

impl Source {
    fn new(path: &Path) -> Self {
        let name = if path.is_dir() {
            path.file_name()
        } else {
            path.file_stem()
        };
        // A path such as `..` has no name of its own.
        let name = name.unwrap_or(path.as_os_str());
        Self {
            name: name.to_string_lossy().into_owned(),
            path: path.to_path_buf(),
        }
    }

    fn read(&self, column: &str, stop: &AtomicBool) -> Result<Domain, DataError> {
        let mut paths = Vec::new();
        find_files(&self.path, &mut paths, stop)?;
        let files = paths.iter().map(|path| read_file(path, column, stop));
        let files: Vec<Cow<'static, str>> = files.collect::<Result<_, _>>()?;
        if files.is_empty() {
            return Err(DataError::NoTextFiles {
                path: self.path.clone(),
            });
        }
        Ok(Domain {
            name: self.name.clone(),
            files,
            validation: Vec::new(),
            test: Vec::new(),
        })
    }
}

/// The domains that `path` stands for.
fn sources(path: &Path) -> Result<Vec<Source>, DataError> {
    if path.is_dir() {
        let entries = visible_entries(path)?;
        if entries.is_empty() {
            return Err(DataError::NoTextFiles { path: path.into() });
        }
        return Ok(entries.iter().map(|entry| Source::new(entry)).collect());
    }
    if path.exists() {
        return Ok(vec![Source::new(path)]);
    }
    let names = path.to_string_lossy();
    let paths = names.split(',').map(|name| PathBuf::from(name.trim()));
    paths
        .map(|path| {
            if !path.exists() {
                return Err(DataError::MissingPath { path });
            }
            Ok(Source::new(&path))
        })
        .collect()
}

/// The files and folders in `folder` that are not hidden, sorted by path.
fn visible_entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io_error = |source| io_error(folder, source);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let entry = entry.map_err(io_error)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

/// Appends `path`, or all files below it in the order of their paths.
pub(in crate::data) fn find_files(
    path: &Path,
    files: &mut Vec<PathBuf>,
    stop: &AtomicBool,
) -> Result<(), DataError> {
    check_stop(stop)?;
    if path.is_dir() {
        if is_prepared(path) {
            let path = path.to_owned();
            return Err(CorpusError::Nested { path }.into());
        }
        return visible_entries(path)?
            .iter()
            .try_for_each(|entry| find_files(entry, files, stop));
    }
    files.push(path.to_path_buf());
    Ok(())
}

/// The text of a file, or of a column of it.
fn read_file(path: &Path, column: &str, stop: &AtomicBool) -> Result<Cow<'static, str>, DataError> {
    let kind = table_kind(path)?;
    if kind.is_none() && !column.is_empty() {
        return Err(TableError::NoTable {
            path: path.into(),
            column: column.to_owned(),
        }
        .into());
    }
    let text = read_text(path, stop)?;
    if text.is_empty() {
        return Err(DataError::EmptyFile { path: path.into() });
    }
    match kind {
        None => Ok(text.into()),
        Some(kind) => Ok(documents(path, &text, kind, column, stop)?.into()),
    }
}

fn check_names(sources: &[Source]) -> Result<(), DataError> {
    let mut by_name: Vec<&Source> = sources.iter().collect();
    by_name.sort_by_key(|source| &source.name);
    match by_name.windows(2).find(|pair| pair[0].name == pair[1].name) {
        None => Ok(()),
        Some(pair) => Err(DataError::DuplicateDomain {
            name: pair[0].name.clone(),
            first: pair[0].path.clone(),
            second: pair[1].path.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use tempfile::{TempDir, tempdir};

    /// A folder with these files; parents are made as needed.
    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let dir = tempdir().unwrap();
        for (name, bytes) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        dir
    }

    /// Each domain as `name: file | file`.
    fn listing(corpus: &Corpus) -> Vec<String> {
        let domain = |domain: &Domain| format!("{}: {}", domain.name, domain.files.join(" | "));
        corpus.domains.iter().map(domain).collect()
    }

    fn read(path: impl AsRef<Path>) -> Result<Corpus, DataError> {
        Corpus::from_path(path, "", &AtomicBool::new(false))
    }

    fn message(path: impl AsRef<Path>) -> String {
        read(path).unwrap_err().to_string()
    }

    #[test]
    fn tables_and_compressed_files_are_read_and_others_refused() {
        let dir = folder(&[
            ("a/1.csv", b"\xEF\xBB\xBFid,text\n1,one\n2,two\n"),
            ("a/2.jsonl", b"{\"text\": \"three\"}\n"),
            ("a/.DS_Store", b"\0\0"),
        ]);
        let stop = AtomicBool::new(false);
        let corpus = Corpus::from_path(dir.path(), "text", &stop).unwrap();
        assert_eq!(listing(&corpus), ["a: one\n\ntwo | three"]);
        assert!(message(dir.path()).contains("it has `id`, `text`"));

        fs::write(dir.path().join("a/3.txt"), "four").unwrap();
        let error = Corpus::from_path(dir.path(), "text", &stop).unwrap_err();
        assert!(
            error.to_string().contains("3.txt` has no columns"),
            "{error}"
        );

        let pictures = folder(&[("cat/1.png", b"\x89PNG")]);
        let text = message(pictures.path());
        assert!(text.contains("1.png` is a picture"), "{text}");
        assert!(text.contains("data.name = \"images\""), "{text}");
    }

    #[test]
    fn a_file_is_one_domain() {
        let dir = folder(&[("my.notes.txt", b"hello")]);
        let corpus = read(dir.path().join("my.notes.txt")).unwrap();
        assert_eq!(listing(&corpus), ["my.notes: hello"]);
    }

    #[test]
    fn a_folder_has_a_domain_for_each_entry() {
        let dir = folder(&[
            ("law/b.txt", b"B"),
            ("law/a/z.md", b"Z"),
            ("law/.hidden", b"\xff"),
            ("prose.txt", "é".as_bytes()),
            (".git/config", b"x"),
        ]);
        let corpus = read(dir.path()).unwrap();
        assert_eq!(listing(&corpus), ["law: Z | B", "prose: é"]);
    }

    #[test]
    fn a_list_has_a_domain_for_each_path() {
        let dir = folder(&[
            ("a/1.txt", b"1"),
            ("a/x/2.txt", b"2"),
            ("b.txt", b"3"),
            ("c,d.txt", b"4"),
        ]);
        let at = |name: &str| dir.path().join(name).display().to_string();
        let corpus = read(format!("{}, {}", at("b.txt"), at("a"))).unwrap();
        assert_eq!(listing(&corpus), ["b: 3", "a: 1 | 2"]);
        let comma = read(at("c,d.txt")).unwrap();
        assert_eq!(listing(&comma), ["c,d: 4"]);
    }

    #[test]
    fn missing_path_is_named() {
        let dir = folder(&[("a.txt", b"1")]);
        let gone = dir.path().join("gone");
        let text = message(format!(
            "{},{}",
            dir.path().join("a.txt").display(),
            gone.display()
        ));
        assert!(
            text.contains(&format!("`{}` does not exist", gone.display())),
            "{text}"
        );
        assert!(text.contains("give a text file, a folder"), "{text}");
    }

    #[test]
    fn folder_without_text_is_an_error() {
        let empty = folder(&[(".hidden", b"x")]);
        assert!(message(empty.path()).contains("holds no text file (hidden files are skipped)"));

        let inner = folder(&[("law/.hidden", b"x")]);
        let text = message(inner.path());
        assert!(
            text.contains(&inner.path().join("law").display().to_string()),
            "{text}"
        );
    }

    #[test]
    fn invalid_utf8_names_file_and_byte() {
        let dir = folder(&[("latin1.txt", b"caf\xe9 au lait")]);
        let text = message(dir.path());
        assert!(
            text.contains("latin1.txt` is not UTF-8 at byte 3; convert it"),
            "{text}"
        );
    }

    #[test]
    fn empty_file_is_an_error() {
        let dir = folder(&[("nothing.txt", b"")]);
        assert!(message(dir.path()).contains("nothing.txt` is empty; remove it"));
    }

    #[test]
    fn two_domains_of_one_name_are_an_error() {
        let dir = folder(&[("law.md", b"1"), ("law/a.txt", b"2")]);
        let text = message(dir.path());
        assert!(text.contains("both the domain `law`; rename one"), "{text}");
        assert!(text.contains("law.md"), "{text}");
    }
}
