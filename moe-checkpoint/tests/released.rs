//! Checkpoints as google-research/vmoe releases them, written by its own serialization.

use moe_checkpoint::ReleasedVmoe;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FILES: [&str; 4] = [
    "tiny.index",
    "tiny.data-00000-of-00002",
    "tiny.data-00001-of-00002",
    "config.json",
];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vmoe_released")
}

fn tensors(folder: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(folder.join("model.safetensors")).expect("the file");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    let stored = tensors.iter().map(|(name, view)| {
        let values = (view.shape().to_vec(), view.data().to_vec());
        (name.to_owned(), values)
    });
    stored.collect()
}

/// A copy of the fixture with one file changed, or left out.
fn copy(changed: &str, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in FILES {
        let bytes = fs::read(fixture().join(file)).expect("the file");
        let bytes = if file == changed {
            change(bytes)
        } else {
            Some(bytes)
        };
        if let Some(bytes) = bytes {
            fs::write(folder.path().join(file), bytes).expect("a copy");
        }
    }
    folder
}

/// What is said about a changed copy, of which nothing is written.
fn error(changed: &str, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) -> String {
    let folder = copy(changed, change);
    let target = folder.path().join("target");
    let published = ReleasedVmoe::open(&folder.path().join("tiny.index"))
        .and_then(|released| released.publish(&target));
    assert!(!target.exists());
    published.expect_err(changed).to_string()
}

fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let places = bytes.windows(old.len());
    let place = places.into_iter().position(|window| window == old);
    let place = place.expect("it is there");
    [&bytes[..place], new, &bytes[place + old.len()..]].concat()
}

#[test]
fn a_released_checkpoint_has_the_arrays_that_were_written() {
    let index = fixture().join("tiny.index");
    assert!(ReleasedVmoe::is_at(&index) && !ReleasedVmoe::is_at(&fixture()));
    let released = ReleasedVmoe::open(&index).expect("a checkpoint");
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("published");
    released.publish(&target).expect("the published layout");
    assert!(tensors(&target) == tensors(&fixture()));
    let config = |folder: &Path| fs::read(folder.join("config.json")).expect("the file");
    assert_eq!(config(&target), config(&fixture()));
    let again = released.publish(&target).expect_err("it exists");
    assert!(again.to_string().contains("exists"), "{again}");
}

#[test]
fn files_that_are_missing_or_damaged_are_named() {
    let data = "tiny.data-00001-of-00002";
    assert!(error(data, |_| None).contains(data));
    let short = error(data, |bytes| Some(bytes[..bytes.len() / 2].to_vec()));
    assert!(short.contains(data), "{short}");
    assert!(short.contains("ends in the middle"), "{short}");
    let long = error("tiny.index", |bytes| Some([bytes, vec![0]].concat()));
    assert!(long.contains("tiny.index: 1 bytes follow"), "{long}");
    let config = error("config.json", |_| None);
    assert!(config.contains("does not say which model"), "{config}");
}

#[test]
fn other_versions_are_refused() {
    let change = |bytes: Vec<u8>| Some(replaced(&bytes, b"20220622", b"20990101"));
    let later = error("tiny.index", change);
    assert!(later.contains("version 20990101"), "{later}");
    let unnamed = |bytes: Vec<u8>| Some(replaced(&bytes, b"version", b"versioN"));
    let earlier = error("tiny.index", unnamed);
    assert!(earlier.contains("says no version"), "{earlier}");
}

#[test]
fn chunks_that_do_not_fit_the_index_are_refused() {
    let other = fs::read(fixture().join("tiny.data-00000-of-00002")).expect("the file");
    let swapped = error("tiny.data-00001-of-00002", |_| Some(other.clone()));
    assert!(swapped.contains("lacks its chunk"), "{swapped}");
    let halved = error("tiny.data-00000-of-00002", |bytes| {
        Some(replaced(&bytes, b"float32", b"float64"))
    });
    assert!(
        halved.contains("float64") || halved.contains("cannot"),
        "{halved}"
    );
}

#[test]
fn arrays_of_another_model_are_refused() {
    let change = |bytes: Vec<u8>| {
        Some(replaced(
            &bytes,
            b"\"num_classes\": 3",
            b"\"num_classes\": 4",
        ))
    };
    let classes = error("config.json", change);
    assert!(classes.contains("head/"), "{classes}");
}
