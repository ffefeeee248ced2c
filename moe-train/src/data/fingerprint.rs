//! The hash of all data of a run, which looks at a request to stop between pieces.

use super::DataError;
use super::read::check_stop;
use sha2::{Digest, Sha256};
use std::sync::atomic::AtomicBool;

/// Bytes between two looks at the request to stop.
const STEP: usize = 1 << 20;

/// A SHA-256 in the making.
pub(super) struct Fingerprint<'a> {
    hash: Sha256,
    stop: &'a AtomicBool,
}

impl<'a> Fingerprint<'a> {
    /// Starts with nothing hashed.
    pub(super) fn new(stop: &'a AtomicBool) -> Self {
        let hash = Sha256::new();
        Self { hash, stop }
    }

    /// Hashes the length of what follows.
    pub(super) fn length(&mut self, length: usize) {
        self.hash.update((length as u64).to_le_bytes());
    }

    /// Hashes bytes, or ends if it was asked to.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        for piece in bytes.chunks(STEP) {
            check_stop(self.stop)?;
            self.hash.update(piece);
        }
        Ok(())
    }

    /// The hash of it all, in hexadecimal.
    pub(super) fn finish(self) -> String {
        let digest = self.hash.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn pieces_give_the_hash_of_the_whole() {
        let stop = AtomicBool::new(false);
        let mut hash = Fingerprint::new(&stop);
        hash.bytes(b"a").unwrap();
        hash.bytes(b"bc").unwrap();
        // the example of FIPS 180-2
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.finish(), abc);
        let long = vec![7; STEP + 9];
        let mut hash = Fingerprint::new(&stop);
        hash.bytes(&long).unwrap();
        let whole: String = Sha256::digest(&long)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hash.finish(), whole);
    }

    #[test]
    fn a_request_to_stop_ends_it() {
        let stop = AtomicBool::new(false);
        let mut hash = Fingerprint::new(&stop);
        hash.bytes(b"a").unwrap();
        stop.store(true, Ordering::Relaxed);
        let error = hash.bytes(b"b").unwrap_err();
        assert!(matches!(error, DataError::Interrupted), "{error}");
    }
}
