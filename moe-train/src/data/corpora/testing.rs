//! Archives, packages and corpora that tests make.
#![allow(clippy::unwrap_used)]

use super::{CorpusSource, Layout, Package};
use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::Path;

/// A paragraph that is long enough to be known, different for each number.
pub(super) fn paragraph(number: u64) -> String {
    let letter =
        |i: u64| char::from(b'a' + (number.wrapping_mul(2_654_435_761) >> (4 * i) & 15) as u8);
    let word: String = (0..8).map(letter).collect();
    format!("The paragraph {word} of which there is one, and another word as {word}.\n")
}

/// A text of these paragraphs.
pub(super) fn text(numbers: &[u64]) -> String {
    let all: Vec<String> = numbers.iter().map(|&number| paragraph(number)).collect();
    all.join("\n")
}

/// Files of a folder, each of five paragraphs of its own.
pub(super) fn files(n: u64) -> Vec<(String, Vec<u8>)> {
    let file = |i: u64| {
        let numbers: Vec<u64> = (0..5).map(|j| 100 + 5 * i + j).collect();
        (format!("f/{i:02}.txt"), text(&numbers).into_bytes())
    };
    (0..n).map(file).collect()
}

/// Writes files below a folder.
pub(super) fn write_files(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A `.zip` archive; every second member is deflated.
pub(super) fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (i, (name, bytes)) in files.iter().enumerate() {
        let place = archive.len() as u32;
        let mut crc = Crc::new();
        crc.update(bytes);
        let (method, packed) = match i % 2 {
            0 => (0, bytes.clone()),
            _ => (8, deflate(bytes)),
        };
        // version, flags, method, time and date; then checksum and sizes; then lengths of names
        let mut head: Vec<u8> = [20, 0, method, 0, 0]
            .iter()
            .flat_map(|n: &u16| n.to_le_bytes())
            .collect();
        let sizes = [crc.sum(), packed.len() as u32, bytes.len() as u32];
        head.extend(sizes.iter().flat_map(|n| n.to_le_bytes()));
        head.extend((name.len() as u32).to_le_bytes());
        archive.extend([&b"PK\x03\x04"[..], &head, name.as_bytes(), &packed].concat());
        directory.extend(
            [
                &b"PK\x01\x02\x14\0"[..],
                &head,
                &[0; 10],
                &place.to_le_bytes(),
                name.as_bytes(),
            ]
            .concat(),
        );
    }
    let n = (files.len() as u16).to_le_bytes();
    let (size, place) = (directory.len() as u32, archive.len() as u32);
    archive.extend(directory);
    archive.extend([&b"PK\x05\x06\0\0\0\0"[..], &n, &n].concat());
    archive.extend([size.to_le_bytes(), place.to_le_bytes()].concat());
    archive.extend([0, 0]);
    archive
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A `.tar` archive; its writer puts names of more than 100 bytes before their members.
pub(super) fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Bytes as gzip packs them.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A package with this archive, which was published so.
pub(super) fn package(folder: &Path, archive: &[u8]) -> CorpusSource {
    let hash: String = Sha256::digest(archive)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    fs::write(folder.join("letters-1.0.zip"), archive).unwrap();
    let package = Package {
        name: "letters",
        about: "",
        licence: "CC0",
        registry: "PyPI",
        package: "letters",
        version: "1.0",
        file: "letters-1.0.zip",
        fetched_bytes: 0,
        text_bytes: 0,
        sha256: Some(hash.leak()),
        fetch: "pip download letters==1.0",
        layout: Layout::Plain,
        members_begin: "f/",
        members_end: ".txt",
    };
    CorpusSource::package(Box::leak(Box::new(package)), folder)
}
