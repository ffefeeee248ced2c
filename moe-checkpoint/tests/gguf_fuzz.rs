//! Damaged GGUF files: each an error or a correct load, never a panic, and never an allocation out of proportion to
//! the file.

mod counting;
mod fuzzing;

use burn::tensor::Device;
use counting::{Counting, largest};
use moe_checkpoint::{CheckpointError, Precision, PublishedCheckpoint, PublishedTokenizer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The number of mutations, unless `MOE_FUZZ` says another for a long run.
const MUTATIONS: u64 = 1000;

/// Memory of a small model's tables, whatever its file, and of the buffers that files are read into.
const SLACK: usize = 1 << 20;

/// Most mutations are in the bytes before the tensors.
const HEADER: usize = 5000;

/// A word that breaks things: lengths, types, versions.
fn word(rng: &mut ChaCha8Rng) -> u64 {
    let words = [
        0,
        1,
        2,
        3,
        8,
        9,
        12,
        14,
        30,
        31,
        33,
        255,
        1 << 20,
        1 << 31,
        1 << 32,
        1 << 40,
        1 << 63,
    ];
    match rng.random_range(0..=words.len()) {
        i if i < words.len() => words[i],
        _ => u64::MAX - rng.random_range(0..64),
    }
}

/// Writes a word of 4 or 8 bytes over others, or damages bytes.
fn mutate(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let n = rng.random_range(0..10);
    if n < 4 && bytes.len() >= 8 {
        let length = [4, 8][n % 2];
        let last = bytes.len().min(HEADER) - length;
        let at = rng.random_range(0..=last);
        bytes[at..at + length].copy_from_slice(&word(rng).to_le_bytes()[..length]);
    } else if n < 9 {
        let rest = bytes.split_off(bytes.len().min(HEADER));
        fuzzing::mutate_bytes(bytes, rng);
        bytes.extend(rest);
    } else {
        fuzzing::mutate_bytes(bytes, rng);
    }
}

/// Reads all that a file holds; tells whether there is a model or a vocabulary.
fn read(path: &Path, device: &Device) -> Result<(), CheckpointError> {
    let words = PublishedTokenizer::read(path)?;
    if let Some(words) = words {
        let ids = words.encode("The 2 words: <|end|> é")?;
        words.decode(&ids);
        return Ok(());
    }
    let checkpoint = PublishedCheckpoint::open(path)?;
    checkpoint.load(Precision::F32, device).map(drop)
}

/// The files, each of which is read.
fn whole_files(device: &Device) -> Vec<Vec<u8>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf");
    let names = [
        "llama_base",
        "mixtral_base",
        "dsv3_mtp",
        "vocabulary_smollm",
        "vocabulary_llama",
    ];
    let whole = |name: &str| {
        let file = fixtures.join(format!("{name}.gguf"));
        read(&file, device).expect("the whole file");
        fs::read(file).expect("the file")
    };
    names.map(whole).to_vec()
}

#[test]
fn damaged_files_are_errors_or_whole() {
    let device = Device::flex();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.gguf");
    let wholes = whole_files(&device);
    let (mut loaded, n) = (0, fuzzing::mutations(MUTATIONS));
    for seed in 0..n {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut bytes = wholes[seed as usize % wholes.len()].clone();
        (0..rng.random_range(1..4)).for_each(|_| mutate(&mut bytes, &mut rng));
        // some file systems wait for the disk when a file is cut and written anew
        let _ = fs::remove_file(&path);
        fs::write(&path, &bytes).expect("a temporary file");
        let (result, largest) = largest(|| read(&path, &device));
        match result {
            Ok(()) => loaded += 1,
            Err(error) => assert!(error.to_string().contains("x.gguf"), "seed {seed}: {error}"),
        }
        assert!(
            largest <= 2 * bytes.len() + SLACK,
            "seed {seed}: {largest} bytes for {}",
            bytes.len()
        );
    }
    // damage to values and to texts alone is not visible, so some load
    assert!((1..n).contains(&loaded), "{loaded} loaded");
}
