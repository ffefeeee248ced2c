//! A corpus that `moe data prepare` made, with the parts that it has.

use crate::data::corpora::{CorpusError, CorpusManifest, PartRecord};
use crate::data::read::read_text;
use crate::data::{Corpus, DataError, Domain, Split};
use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Reads the parts of the corpus in a folder, each held to its hash.
pub(super) fn read_prepared(folder: &Path, stop: &AtomicBool) -> Result<Corpus, DataError> {
    let manifest = CorpusManifest::read(folder)?;
    let mut domains: Vec<Domain> = Vec::new();
    for part in &manifest.parts {
        let text = read_part(folder, part, stop)?;
        if domains
            .last()
            .is_none_or(|domain| domain.name != part.domain)
        {
            domains.push(Domain {
                name: part.domain.clone(),
                files: Vec::new(),
                validation: Vec::new(),
                test: Vec::new(),
            });
        }
        if let Some(domain) = domains.last_mut() {
            match part.part {
                Split::Train => domain.files.push(text),
                Split::Validation => domain.validation.push(text),
                Split::Test => domain.test.push(text),
            }
        }
    }
    let has_all =
        |d: &Domain| !(d.files.is_empty() || d.validation.is_empty() || d.test.is_empty());
    if domains.is_empty() || !domains.iter().all(has_all) {
        return Err(CorpusError::Manifest {
            path: folder.to_owned(),
            what: "a domain lacks one of its three parts".to_owned(),
        }
        .into());
    }
    Ok(Corpus {
        name: folder.display().to_string(),
        domains,
    })
}

fn read_part(
    folder: &Path,
    part: &PartRecord,
    stop: &AtomicBool,
) -> Result<Cow<'static, str>, DataError> {
    let path = folder.join(part.file());
    let text = read_text(&path, stop)?;
    if part.is_of(&text) {
        Ok(text.into())
    } else {
        Err(CorpusError::Changed { path }.into())
    }
}
