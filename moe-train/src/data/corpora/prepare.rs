//! The preparation itself: sources to a corpus of three parts.

use super::document::{Document, hex, part_of};
use super::manifest::{CorpusManifest, DocumentRecord, PackageRecord, PartRecord, SourceRecord};
use super::repeats::{Kept, without_repeats};
use super::{CorpusError, CorpusSource, Package, Removed};
use crate::data::{DataError, Split};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A corpus that is ready to be written.
#[derive(Clone, Debug)]
pub struct PreparedCorpus {
    /// Its description.
    pub manifest: CorpusManifest,
    /// The text of each part, in the order of the manifest.
    pub(super) texts: Vec<String>,
}

/// Reads all sources, removes what stands twice, and divides the documents into parts. `reading` is told of each
/// source before it is read.
///
/// # Errors
///
/// What is wrong with a source, a part of a source without a document, or a request to stop.
pub fn prepare(
    sources: &[CorpusSource],
    seed: u64,
    reading: &mut dyn FnMut(&Path),
    stop: &AtomicBool,
) -> Result<PreparedCorpus, DataError> {
    check_domains(sources)?;
    let mut records = Vec::new();
    let mut documents = Vec::new();
    for (domain, source) in sources.iter().enumerate() {
        reading(&source.path);
        let read = source.read(stop)?;
        let mut record = record(source, read.sha256);
        record.documents = read.documents.len();
        for (name, text) in read.documents {
            match Document::new(domain, name, &text, seed) {
                Some(document) => {
                    record.bytes += document.text.len();
                    documents.push(document);
                }
                None => record.removed.empty_documents += 1,
            }
        }
        records.push(record);
    }
    let Kept { documents, removed } = without_repeats(documents, sources.len(), stop)?;
    for (record, removed) in records.iter_mut().zip(removed) {
        let empty_documents = record.removed.empty_documents;
        record.removed = Removed {
            empty_documents,
            ..removed
        };
    }
    check_parts(&documents, sources, seed)?;
    Ok(assemble(CorpusManifest::new(seed, records), &documents))
}

/// Refuses sources that would be one domain.
fn check_domains(sources: &[CorpusSource]) -> Result<(), CorpusError> {
    let mut domains: Vec<&str> = sources.iter().map(|source| &*source.domain).collect();
    domains.sort_unstable();
    match domains.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(CorpusError::SameDomain {
            domain: pair[0].to_owned(),
        }),
    }
}

fn record(source: &CorpusSource, sha256: String) -> SourceRecord {
    let package = |package: &Package| PackageRecord {
        registry: package.registry.to_owned(),
        name: package.package.to_owned(),
        version: package.version.to_owned(),
        licence: package.licence.to_owned(),
    };
    SourceRecord {
        domain: source.domain.clone(),
        file: source.file(),
        sha256,
        package: source.package.map(package),
        documents: 0,
        bytes: 0,
        removed: Removed::default(),
    }
}

/// Refuses a part of a domain without documents, for it could not be trained on or scored.
fn check_parts(
    documents: &[Document],
    sources: &[CorpusSource],
    seed: u64,
) -> Result<(), CorpusError> {
    let Some((domain, part)) = empty_part(documents, sources.len(), seed) else {
        return Ok(());
    };
    let n = documents.iter().filter(|d| d.domain == domain).count();
    let filled = (0..1000).find(|&seed| empty_part(documents, sources.len(), seed).is_none());
    let remedy = match filled {
        Some(seed) => format!("`--seed {seed}` gives every part some"),
        None => "give more and smaller documents, at least 3 and better 50 (one file is split by \
                 position without being prepared: data.path=FILE)"
            .to_owned(),
    };
    Err(CorpusError::EmptyPart {
        domain: sources[domain].domain.clone(),
        part,
        documents: n,
        remedy,
    })
}

/// A part that no document of its domain would be in.
fn empty_part(documents: &[Document], n_domains: usize, seed: u64) -> Option<(usize, Split)> {
    let mut is_filled = vec![[false; 3]; n_domains];
    for document in documents {
        is_filled[document.domain][part_of(&document.hash, seed) as usize] = true;
    }
    let empty = |(domain, filled): (usize, [bool; 3])| {
        let part = Split::ALL.into_iter().find(|part| !filled[*part as usize]);
        part.map(|part| (domain, part))
    };
    is_filled.into_iter().enumerate().find_map(empty)
}

/// The texts of the parts, with an empty line between two documents, and their records.
fn assemble(mut manifest: CorpusManifest, documents: &[Document]) -> PreparedCorpus {
    let domain = |place: usize| manifest.sources[place].domain.clone();
    let mut texts = Vec::new();
    for place in 0..manifest.sources.len() {
        for part in Split::ALL {
            let is_in = |document: &&Document| document.domain == place && document.part == part;
            let own: Vec<&str> = documents.iter().filter(is_in).map(|d| &*d.text).collect();
            let text = own.join("\n");
            manifest.parts.push(PartRecord {
                domain: domain(place),
                part,
                documents: own.len(),
                bytes: text.len(),
                sha256: hex(&Sha256::digest(&text)),
            });
            texts.push(text);
        }
    }
    let record = |document: &Document| DocumentRecord {
        domain: domain(document.domain),
        name: document.name.clone(),
        part: document.part,
        bytes: document.text.len(),
        sha256: hex(&document.hash),
        removed_paragraphs: document.removed,
    };
    manifest.documents = documents.iter().map(record).collect();
    PreparedCorpus { manifest, texts }
}
