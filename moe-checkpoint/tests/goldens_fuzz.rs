//! Damaged goldens: each an error or a comparison, never a panic.

use burn::tensor::Device;
use moe_checkpoint::AnyCheckpoint;
use moe_checkpoint::verify::{Goldens, Scope, verify_any};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

const CASES: [&str; 4] = [
    "mixtral_base",
    "dsv3_mtp",
    "switch_capacity",
    "vmoe_last1_noise_bpr_drop",
];

fn fixture(case: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.join("tests/fixtures").join(case)
}

/// The number of mutations: `MOE_FUZZ` if it is set, for a long run.
fn mutations(default: u64) -> u64 {
    match std::env::var("MOE_FUZZ") {
        Ok(n) => n.parse().expect("MOE_FUZZ is a number of mutations"),
        Err(_) => default,
    }
}

/// Replaces a number, a name or a type of the header, keeping its length.
fn mutate_header(bytes: &mut [u8], rng: &mut ChaCha8Rng) {
    let Some((length, rest)) = bytes.split_first_chunk_mut::<8>() else {
        return;
    };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let length = length.min(rest.len());
    let header = &mut rest[..length];
    if header.is_empty() {
        return;
    }
    let at = rng.random_range(0..header.len());
    let digits = header[at..].iter().position(u8::is_ascii_digit);
    match (rng.random_range(0..3), digits) {
        (0, _) => header[at] = rng.random(),
        (_, Some(digit)) => header[at + digit] = b'0' + rng.random_range(0..10),
        (_, None) => {}
    }
}

fn mutate(bytes: &mut Vec<u8>, is_json: bool, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..5) {
        0 => bytes.truncate(at),
        1 => bytes[at] = rng.random(),
        2 => bytes[at] ^= 1 << rng.random_range(0..8),
        _ if is_json => {
            let token: &[u8] =
                [b"NaN".as_slice(), b"-1", b"\"", b"{", b"1e999"][rng.random_range(0..5)];
            bytes.splice(at..at, token.iter().copied());
        }
        _ => mutate_header(bytes, rng),
    }
}

#[test]
fn damaged_goldens_are_errors_or_comparisons() {
    let device = Device::flex();
    let n = mutations(300);
    let wholes: Vec<_> = CASES
        .iter()
        .map(|case| {
            let folder = tempfile::tempdir().expect("a folder");
            let checkpoint = AnyCheckpoint::open(&fixture(case)).expect("a checkpoint");
            let files = ["goldens.safetensors", "goldens.json"].map(|name| {
                let bytes = fs::read(fixture(case).join(name)).expect("a file");
                fs::write(folder.path().join(name), &bytes).expect("a copy");
                (folder.path().join(name), bytes)
            });
            (folder, checkpoint, files)
        })
        .collect();
    let mut n_compared = 0;
    for seed in 0..n {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (_, checkpoint, files) = &wholes[seed as usize % wholes.len()];
        let victim = usize::from(rng.random_range(0..4) == 0);
        let (path, whole) = &files[victim];
        let mut bytes = whole.clone();
        for _ in 0..rng.random_range(1..3) {
            if !bytes.is_empty() {
                mutate(&mut bytes, victim == 1, &mut rng);
            }
        }
        fs::write(path, &bytes).expect("a file");
        let compared = catch_unwind(AssertUnwindSafe(|| {
            let goldens = Goldens::read(&files[0].0)?;
            verify_any(checkpoint, &goldens, Scope::ForwardOnly, &device)
        }));
        match compared {
            Ok(Ok(_)) => n_compared += 1,
            Ok(Err(error)) => assert!(!error.to_string().is_empty(), "seed {seed}"),
            Err(_) => panic!("seed {seed} panics"),
        }
        fs::write(path, whole).expect("a file");
    }
    assert!(
        (1..n).contains(&n_compared),
        "{n_compared} of {n} are compared"
    );
}
