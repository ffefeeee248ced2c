//! Sources of documents: a package that was fetched, or the reader's own files.

use super::archive::{Limits, Member, Packed};
use super::document::hex;
use super::layout::Named;
use super::{CorpusError, Layout, Package};
use crate::data::DataError;
use crate::data::fingerprint::Fingerprint;
use crate::data::read::{Source as Bytes, read_text};
use crate::data::text::{find_files, table_kind};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// A source of documents, which becomes one domain.
#[derive(Clone, Debug)]
pub struct CorpusSource {
    /// The name of the domain.
    pub(super) domain: String,
    /// The archive, folder or file.
    pub(super) path: PathBuf,
    /// The package; none of the reader's own text.
    pub(super) package: Option<&'static Package>,
}

/// Hash and documents of a source.
pub(super) struct Read {
    pub(super) sha256: String,
    pub(super) documents: Vec<Named>,
}

impl CorpusSource {
    /// A package in the folder that it was fetched into.
    pub fn package(package: &'static Package, folder: &Path) -> Self {
        Self {
            domain: package.name.to_owned(),
            path: folder.join(package.file),
            package: Some(package),
        }
    }

    /// A file of text, a folder of them or an archive of them, named by its file name.
    pub fn own(path: &Path) -> Self {
        // a path such as `..` has no name of its own
        let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let named = if path.file_name().is_some() {
            path
        } else {
            &full
        };
        let name = named.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy().into_owned();
        let stem = || {
            Path::new(&name)
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
        };
        let domain = match Packed::of(&name) {
            _ if path.is_dir() => name,
            Some((_, stem)) => stem.to_owned(),
            None => stem().unwrap_or_default(),
        };
        Self {
            domain,
            path: path.to_owned(),
            package: None,
        }
    }

    /// The name of what is read.
    pub(super) fn file(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Reads its documents.
    pub(super) fn read(&self, stop: &AtomicBool) -> Result<Read, DataError> {
        if !self.path.exists() {
            return Err(self.missing());
        }
        let file = self.file();
        let packed = Packed::of(&file).filter(|_| !self.path.is_dir());
        let (sha256, members) = match packed {
            Some((packed, _)) => self.archive(packed, stop)?,
            None => self.files(stop)?,
        };
        if members.is_empty() {
            let path = self.path.clone();
            return Err(DataError::NoTextFiles { path });
        }
        let layout = self.package.map_or(Layout::Plain, |package| package.layout);
        let mut documents = Vec::new();
        for (name, text) in members {
            let found = layout.documents(&name, text);
            let path = self.path.join(&name);
            documents.extend(found.map_err(|what| CorpusError::Layout { path, what })?);
        }
        Ok(Read { sha256, documents })
    }

    fn missing(&self) -> DataError {
        let path = self.path.clone();
        match self.package {
            Some(Package { fetch, .. }) => CorpusError::NotFetched { path, fetch }.into(),
            None => DataError::MissingPath { path },
        }
    }

    /// Hash and members of an archive. That of a package has to be the one that was published.
    fn archive(
        &self,
        packed: Packed,
        stop: &AtomicBool,
    ) -> Result<(String, Vec<Member>), DataError> {
        let found = hash_of(&self.path, stop)?;
        if let Some(package) = self.package
            && package.sha256.is_some_and(|sha256| sha256 != found)
        {
            return Err(CorpusError::OtherArchive {
                path: self.path.clone(),
                found,
                fetch: package.fetch,
            }
            .into());
        }
        let is_wanted = |name: &str| self.wants(name);
        let members = packed.members(&self.path, &is_wanted, Limits::DEFAULT, stop)?;
        Ok((found, members))
    }

    /// Hash and texts of a file, or of all files below a folder.
    fn files(&self, stop: &AtomicBool) -> Result<(String, Vec<Member>), DataError> {
        let mut paths = Vec::new();
        find_files(&self.path, &mut paths, stop)?;
        let mut members = Vec::new();
        let mut hash = Sha256::new();
        for path in &paths {
            let name = self.name_of(path);
            if self.package.is_none_or(|package| package.has(&name)) {
                self.check_kind(path)?;
                let text = read_text(path, stop)?;
                for part in [&name, &text] {
                    hash.update((part.len() as u64).to_le_bytes());
                    hash.update(part);
                }
                members.push((name, text));
            }
        }
        Ok((hex(&hash.finalize()), members))
    }

    /// The name of a file in its folder, the same on all systems.
    fn name_of(&self, path: &Path) -> String {
        match path.strip_prefix(&self.path) {
            Ok(inside) if inside != Path::new("") => {
                let parts = inside.iter().map(|part| part.to_string_lossy());
                parts.collect::<Vec<_>>().join("/")
            }
            _ => self.file(),
        }
    }

    /// Tells whether a member is read: those of a package that hold its text, and of others all that are not hidden.
    fn wants(&self, name: &str) -> Result<bool, DataError> {
        if let Some(package) = self.package {
            return Ok(package.has(name));
        }
        if name
            .split('/')
            .any(|part| part.starts_with('.') && part != ".")
        {
            return Ok(false);
        }
        self.check_kind(&self.path.join(name)).and(Ok(true))
    }

    /// Refuses the reader's own files that hold no plain text.
    fn check_kind(&self, path: &Path) -> Result<(), DataError> {
        if self.package.is_some() || table_kind(path)?.is_none() {
            return Ok(());
        }
        let path = path.to_owned();
        Err(CorpusError::Table { path }.into())
    }
}

/// Bytes of a file that are hashed at once.
const STEP: u128 = 1 << 20;

fn hash_of(path: &Path, stop: &AtomicBool) -> Result<String, DataError> {
    let mut file = Bytes::plain(path, stop)?;
    let mut hash = Fingerprint::new(stop);
    loop {
        let bytes = file.next(STEP)?;
        hash.bytes(&bytes)?;
        if (bytes.len() as u128) < STEP {
            return Ok(hash.finish());
        }
    }
}
