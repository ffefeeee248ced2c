//! The user's own text as a [`Corpus`]: a file, a folder, or several of them.

use std::{
    borrow::Cow,
    fs, io,
    path::{Path, PathBuf},
};

use super::{Corpus, DataError, Domain};

/// What becomes one domain: a file, or all files below a folder.
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
    /// Files are taken in the order of their paths, whatever their extension. Files and folders whose name
    /// starts with a dot are skipped; anything else that is not UTF-8 is an error, never skipped in silence.
    /// A path that exists with a comma in its name is one path.
    ///
    /// # Errors
    ///
    /// A path that does not exist, a folder without files, an empty file, a file that is not UTF-8, two
    /// domains of one name, or a refusal of the operating system.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let sources = sources(path)?;
        check_names(&sources)?;
        let domains = sources.iter().map(Source::read).collect::<Result<_, _>>()?;
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

    fn read(&self) -> Result<Domain, DataError> {
        let mut files = Vec::new();
        read_files(&self.path, &mut files)?;
        if files.is_empty() {
            return Err(DataError::NoTextFiles {
                path: self.path.clone(),
            });
        }
        Ok(Domain {
            name: self.name.clone(),
            files,
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

/// Appends the text of `path`, or of all files below it in the order of their paths.
fn read_files(path: &Path, files: &mut Vec<Cow<'static, str>>) -> Result<(), DataError> {
    if path.is_dir() {
        return visible_entries(path)?
            .iter()
            .try_for_each(|entry| read_files(entry, files));
    }
    let bytes = fs::read(path).map_err(|source| io_error(path, source))?;
    if bytes.is_empty() {
        return Err(DataError::EmptyFile { path: path.into() });
    }
    let text = String::from_utf8(bytes).map_err(|error| DataError::InvalidUtf8 {
        path: path.into(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    files.push(Cow::Owned(text));
    Ok(())
}

fn io_error(path: &Path, source: io::Error) -> DataError {
    DataError::Io {
        path: path.into(),
        source,
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

    fn message(path: impl AsRef<Path>) -> String {
        Corpus::from_path(path).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_one_domain() {
        let dir = folder(&[("my.notes.txt", b"hello")]);
        let corpus = Corpus::from_path(dir.path().join("my.notes.txt")).unwrap();
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
        let corpus = Corpus::from_path(dir.path()).unwrap();
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
        let corpus = Corpus::from_path(format!("{}, {}", at("b.txt"), at("a"))).unwrap();
        assert_eq!(listing(&corpus), ["b: 3", "a: 1 | 2"]);
        let comma = Corpus::from_path(at("c,d.txt")).unwrap();
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
