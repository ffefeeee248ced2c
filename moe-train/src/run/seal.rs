//! Seals: a file that ends in the SHA-256 of the rest of it, so that a changed byte shows. A checksum,
//! no signature.

use super::RunError;
use super::files::{damaged, file_error, write_whole};
use moe_checkpoint::disk;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

/// The most bytes of a sealed file.
const MOST: u64 = 1 << 26;

const SEAL: &str = ",\n  \"seal\": \"";

/// Writes a value as indented JSON whose last key is the hash of what comes before it.
pub(super) fn write_sealed<T: Serialize>(path: &Path, value: &T) -> Result<(), RunError> {
    let text = serde_json::to_string_pretty(value).expect("plain data is JSON");
    let body = text.strip_suffix("\n}").expect("a struct with fields");
    let seal = hex(&Sha256::digest(body));
    write_whole(path, format!("{body}{SEAL}{seal}\"\n}}\n").as_bytes())
}

/// Reads what [`write_sealed`] wrote.
pub(super) fn read_sealed<T: DeserializeOwned>(path: &Path, folder: &Path) -> Result<T, RunError> {
    let bytes = disk::read_at_most(path, MOST).map_err(file_error("read", path))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| damaged(path, folder, &error))?;
    let Some((body, end)) = text.rsplit_once(SEAL) else {
        let what = "it has no seal, so it was changed or is of an earlier version";
        return Err(damaged(path, folder, &what));
    };
    if end != format!("{}\"\n}}\n", hex(&Sha256::digest(body))) {
        return Err(damaged(path, folder, &"it is not as it was written"));
    }
    // the seal is a key more than the struct has, which serde passes over
    serde_json::from_str(text).map_err(|error| damaged(path, folder, &error))
}

/// The SHA-256 of a file, read in pieces.
pub(super) fn hash_file(path: &Path) -> Result<String, RunError> {
    let mut hash = Sha256::new();
    hash_up_to(path, u64::MAX, &mut hash)?;
    Ok(hex(&hash.finalize()))
}

/// Adds the first bytes of a file to a hash, and returns how many there were.
pub(super) fn hash_up_to(path: &Path, most: u64, hash: &mut Sha256) -> Result<u64, RunError> {
    let mut file = disk::open_regular(path)
        .map_err(file_error("read", path))?
        .take(most);
    let mut piece = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        match file.read(&mut piece).map_err(file_error("read", path))? {
            0 => return Ok(total),
            n => {
                hash.update(&piece[..n]);
                total += n as u64;
            }
        }
    }
}

/// A hash in hexadecimal digits.
pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_changed_byte_breaks_a_seal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let value = BTreeMap::from([("a".to_owned(), 0.1), ("b".to_owned(), 2.0)]);
        write_sealed(&path, &value).unwrap();
        let read = || read_sealed::<BTreeMap<String, serde_json::Value>>(&path, folder.path());
        assert_eq!(read().unwrap()["a"], 0.1);
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).unwrap();
            let error = read().unwrap_err();
            assert!(matches!(error, RunError::Damaged { .. }), "{at}: {error}");
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert!(read().is_err(), "the first {at} bytes");
        }
    }

    #[test]
    fn a_hash_of_a_file_is_that_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_file(&path).unwrap(), abc);
    }
}
