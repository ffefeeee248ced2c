//! `corpus.json`: what a prepared corpus holds, where it is from, and what was removed.

use super::CorpusError;
use super::document::hex;
use crate::data::{DataError, Split, read::io_error};
use moe_checkpoint::disk::{MOST_TEXT, open_regular, read_text};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// The name of the manifest in a corpus's folder.
pub const MANIFEST: &str = "corpus.json";

/// The format of this version, and the begin of every manifest.
const FORMAT: &str = "moe corpus 1";
const BEGIN: &[u8] = b"{\n  \"format\": \"moe corpus ";

/// The description of a prepared corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusManifest {
    /// The format of this file.
    pub format: String,
    /// The version of the program that prepared it.
    pub program: String,
    /// The seed of the parts.
    pub seed: u64,
    /// Bytes of letters from which on a paragraph stands in one place only.
    pub long_paragraph: usize,
    /// The sources, one a domain.
    pub sources: Vec<SourceRecord>,
    /// The files, of each domain training, validation and test.
    pub parts: Vec<PartRecord>,
    /// The documents, in the order of their sources.
    pub documents: Vec<DocumentRecord>,
}

/// A source, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The name of its domain.
    pub domain: String,
    /// The name of the file or folder that was read.
    pub file: String,
    /// SHA-256 of the file; of a folder, of the names and contents of the files that were read.
    pub sha256: String,
    /// The package; none of the reader's own text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub package: Option<PackageRecord>,
    /// Documents that were read.
    pub documents: usize,
    /// Bytes of their text.
    pub bytes: usize,
    /// Text that was removed.
    pub removed: Removed,
}

/// The package of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRecord {
    /// The registry.
    pub registry: String,
    /// The name there.
    pub name: String,
    /// The version.
    pub version: String,
    /// The licence of the texts.
    pub licence: String,
}

/// Counts of what was removed of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Documents without text.
    pub empty_documents: usize,
    /// Documents that are equal to one before them.
    pub equal_documents: usize,
    /// Documents of which most stands in others.
    pub repeating_documents: usize,
    /// Paragraphs of other documents.
    pub paragraphs: usize,
    /// Bytes of all these.
    pub bytes: usize,
}

/// A file of the corpus: a part of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// The domain.
    pub domain: String,
    /// The part.
    pub part: Split,
    /// Its documents.
    pub documents: usize,
    /// Bytes of the file.
    pub bytes: usize,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// A document of the corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// The domain.
    pub domain: String,
    /// Its name in its source.
    pub name: String,
    /// The part that it is in.
    pub part: Split,
    /// Bytes that are in that part.
    pub bytes: usize,
    /// SHA-256 of its text before paragraphs were removed.
    pub sha256: String,
    /// Paragraphs that were removed.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub removed_paragraphs: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl PartRecord {
    /// The name of its file.
    pub fn file(&self) -> String {
        format!("{}.{}.txt", self.domain, self.part)
    }
}

impl CorpusManifest {
    pub(super) fn new(seed: u64, sources: Vec<SourceRecord>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
            long_paragraph: super::LONG_PARAGRAPH,
            sources,
            parts: Vec::new(),
            documents: Vec::new(),
        }
    }

    /// The text of the file: JSON with a line for each document.
    pub(super) fn to_text(&self) -> String {
        let line = |document| serde_json::to_string(document).expect("names and numbers are JSON");
        let lines: Vec<String> = self.documents.iter().map(line).collect();
        let head = Self {
            documents: Vec::new(),
            ..self.clone()
        };
        let head = serde_json::to_string_pretty(&head).expect("names and numbers are JSON");
        let head = head.trim_end_matches("[]\n}");
        format!("{head}[\n    {}\n  ]\n}}\n", lines.join(",\n    "))
    }

    /// Reads the manifest in a folder.
    ///
    /// # Errors
    ///
    /// If it is not there, damaged, or of another version.
    pub fn read(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(MANIFEST);
        let text = read_text(&path, MOST_TEXT).map_err(|source| io_error(&path, source))?;
        let problem = |what: String| CorpusError::Manifest {
            path: path.clone(),
            what,
        };
        let manifest: Self =
            serde_json::from_str(&text).map_err(|error| problem(error.to_string()))?;
        if manifest.format != FORMAT {
            let what = format!(
                "its format is `{}`, and `{FORMAT}` is read",
                manifest.format
            );
            return Err(problem(what).into());
        }
        let is_name = |name: &str| !name.is_empty() && !name.contains(['/', '\\', '\0']);
        match manifest.parts.iter().find(|part| !is_name(&part.domain)) {
            Some(part) => Err(problem(format!("`{}` is no name of a domain", part.domain)).into()),
            None => Ok(manifest),
        }
    }
}

impl PartRecord {
    /// Tells whether a text is the one that was prepared.
    pub(in crate::data) fn is_of(&self, text: &str) -> bool {
        hex(&Sha256::digest(text)) == self.sha256
    }
}

/// Tells whether a folder holds a prepared corpus: a manifest, whole or not.
pub(in crate::data) fn is_prepared(folder: &Path) -> bool {
    let mut begin = Vec::new();
    let read = open_regular(&folder.join(MANIFEST))
        .and_then(|file| file.take(BEGIN.len() as u64).read_to_end(&mut begin));
    read.is_ok() && begin == BEGIN
}
