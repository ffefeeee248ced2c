//! Archives that are cut off, damaged, too large, or named to lead elsewhere.
#![allow(clippy::unwrap_used)]

use super::archive::{Limits, Packed};
use super::testing::{files, gzip, tar, zip};
use super::{CorpusSource, PreparedCorpus, prepare};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::tempdir;

fn prepared(path: &Path) -> Result<PreparedCorpus, String> {
    let corpus = prepare(
        &[CorpusSource::own(path)],
        1,
        &mut |_| (),
        &AtomicBool::new(false),
    );
    corpus.map_err(|error| error.to_string())
}

fn members(packed: Packed, path: &Path, limits: Limits) -> Result<Vec<String>, String> {
    let members = packed.members(path, &|_| Ok(true), limits, &AtomicBool::new(false));
    let members = members.map_err(|error| error.to_string())?;
    Ok(members.into_iter().map(|(name, _)| name).collect())
}

#[test]
fn an_archive_that_is_cut_off_is_named() {
    let dir = tempdir().unwrap();
    let files = files(3);
    for (name, packed, bytes) in [
        ("a.zip", Packed::Zip, zip(&files)),
        ("a.tgz", Packed::TarGz, gzip(&tar(&files))),
    ] {
        let path = dir.path().join(name);
        for cut in (1..bytes.len()).step_by(7) {
            fs::write(&path, &bytes[..cut]).unwrap();
            let error = members(packed, &path, Limits::DEFAULT).unwrap_err();
            assert!(
                error.contains(name) && error.contains("cut off"),
                "{cut}: {error}"
            );
        }
    }
    // a tar archive has no end of its own: a member that is whole may be the last
    let (path, bytes) = (dir.path().join("a.tar"), tar(&files));
    fs::write(&path, &bytes[..700]).unwrap();
    let error = members(Packed::Tar, &path, Limits::DEFAULT).unwrap_err();
    assert!(
        error.contains("a.tar") && error.contains("cut off"),
        "{error}"
    );
}

#[test]
fn damaged_bytes_are_an_error_or_change_nothing_and_never_a_panic() {
    let dir = tempdir().unwrap();
    let files = files(3);
    for (name, packed, bytes) in [
        ("a.zip", Packed::Zip, zip(&files)),
        ("a.tar", Packed::Tar, tar(&files)),
        ("a.tgz", Packed::TarGz, gzip(&tar(&files))),
    ] {
        let path = dir.path().join(name);
        for place in (0..bytes.len()).step_by(11) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0xff;
            fs::write(&path, damaged).unwrap();
            let _ = members(packed, &path, Limits::DEFAULT);
        }
    }
}

#[test]
fn an_archive_holds_no_more_than_is_read() {
    let dir = tempdir().unwrap();
    let files = [
        ("a.txt".to_owned(), vec![b'a'; 5000]),
        ("b.txt".to_owned(), vec![b'b'; 5000]),
    ];
    let small = Limits {
        member: 6000,
        all: 14_000,
        members: 2,
    };
    for (name, packed, bytes) in [
        ("a.zip", Packed::Zip, zip(&files)),
        ("a.tgz", Packed::TarGz, gzip(&tar(&files))),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_eq!(members(packed, &path, small).unwrap(), ["a.txt", "b.txt"]);
        for limits in [
            Limits {
                member: 4999,
                ..small
            },
            Limits { all: 9000, ..small },
            Limits {
                members: 1,
                ..small
            },
        ] {
            let error = members(packed, &path, limits).unwrap_err();
            assert!(
                error.contains(name) && error.contains("more than"),
                "{error}"
            );
        }
    }
}

#[test]
fn a_name_before_its_member_is_bounded_too() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("long.tar");
    let long = [("n".repeat(70_000), b"text".to_vec())];
    fs::write(&path, tar(&long)).unwrap();
    let error = members(Packed::Tar, &path, Limits::DEFAULT).unwrap_err();
    assert!(error.contains("a name of more than"), "{error}");
}

#[test]
fn names_of_members_are_names_alone() {
    let dir = tempdir().unwrap();
    let mut files = files(40);
    let long = format!("f/{}.txt", "n".repeat(200));
    files[0].0 = long.clone();
    files[1].0 = "f/.hidden.txt".to_owned();
    fs::write(dir.path().join("a.tar"), tar(&files)).unwrap();
    files[2].0 = "../../outside.txt".to_owned();
    fs::write(dir.path().join("b.zip"), zip(&files)).unwrap();
    for (name, n, first) in [("a.tar", 39, &long), ("b.zip", 38, &long)] {
        let corpus = prepared(&dir.path().join(name)).unwrap();
        // `..` begins with a dot, as what is hidden does
        assert_eq!(corpus.manifest.documents.len(), n);
        assert_eq!(&corpus.manifest.documents[0].name, first);
    }
}

#[test]
fn a_document_that_is_no_text_is_named() {
    let dir = tempdir().unwrap();
    for (member, bytes, words) in [
        (
            "f/bad.txt",
            &b"caf\xe9"[..],
            "a.zip/f/bad.txt` is not UTF-8 at byte 3",
        ),
        ("f/a.png", b"\x89PNG", "a.zip/f/a.png` is a picture"),
        ("f/a.jsonl", b"{}", "a.zip/f/a.jsonl` is a table"),
        ("f/nul.txt", b"a\0", "a.zip/f/nul.txt` has a NUL at byte 1"),
    ] {
        let mut files = files(3);
        files.push((member.to_owned(), bytes.to_vec()));
        let path = dir.path().join("a.zip");
        fs::write(&path, zip(&files)).unwrap();
        let error = prepared(&path).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}
