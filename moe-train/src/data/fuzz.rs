//! Mutated files: every reader gives an error or the right data, and never panics. The seed is fixed;
//! `MOE_FUZZ=N` makes N mutations of each kind of file instead of some hundred.
#![allow(clippy::unwrap_used)]

use super::images::{IdxFile, ImageConfig, ImageData, ImageName};
use super::{BpeVocab, Corpus, PairConfig, PairData, PairName, Split, UnigramVocab, Vocab};
use flate2::{Compression, write::GzEncoder};
use image::{ImageFormat, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::{Cursor, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Bytes that mean something to one of the formats.
const TELLING: &[u8] = b"\0\x01\x7F\x80\xFF\xD8\xD9\xC0\xC2\xC4\xDA\"\\,\t\n\r{}[]:0919-e\xC3";

/// Hands mutations of a file to `check`, with the bytes and the path to them.
fn mutate(name: &str, valid: &[u8], usual: usize, check: impl Fn(&[u8], &Path)) {
    let n = std::env::var("MOE_FUZZ").map_or(usual, |n| n.parse().expect("MOE_FUZZ is a number"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    for case in 0..n as u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(case);
        let mut bytes = valid.to_vec();
        for _ in 0..rng.random_range(1..4) {
            mutate_once(&mut bytes, &mut rng);
        }
        std::fs::write(&path, &bytes).unwrap();
        let checked = catch_unwind(AssertUnwindSafe(|| check(&bytes, &path)));
        assert!(checked.is_ok(), "{name}: mutation {case} is above");
    }
}

fn mutate_once(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..=bytes.len());
    let end = (at + rng.random_range(1..40)).min(bytes.len());
    match rng.random_range(0..7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        3 => bytes.insert(at, TELLING[rng.random_range(0..TELLING.len())]),
        4 if at < bytes.len() => bytes[at] = TELLING[rng.random_range(0..TELLING.len())],
        5 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
        _ => bytes.extend((0..rng.random_range(1..9)).map(|_| rng.random::<u8>())),
    }
}

fn go() -> AtomicBool {
    AtomicBool::new(false)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An IDX file of six images of 2 x 3 pixels.
fn idx() -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 2, 0, 0, 0, 3];
    bytes.extend(0..36);
    bytes
}

#[test]
fn idx_files_are_read_whole() {
    mutate("a", &idx(), 300, |bytes, path| {
        if let Ok(file) = IdxFile::read(path, "images", 3, &go()) {
            assert_eq!(file.dims.iter().product::<usize>(), file.values.len());
            assert_eq!(file.values, bytes[16..]);
        }
    });
}

#[test]
fn compressed_files_hold_what_they_held() {
    mutate("a.gz", &gzip(&idx()), 300, |_, path| {
        if let Ok(file) = IdxFile::read(path, "images", 3, &go()) {
            assert_eq!(file.values, idx()[16..]);
        }
    });
    let text = "a text that was compressed, and that is compressed, ".repeat(4);
    mutate("a.txt.gz", &gzip(text.as_bytes()), 300, |_, path| {
        if let Ok(corpus) = Corpus::from_path(path, "", &go()) {
            assert_eq!(corpus.domains[0].files[0], text);
        }
    });
    let zstd = ruzstd::encoding::compress_to_vec(
        text.as_bytes(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    mutate("a.txt.zst", &zstd, 300, |_, path| {
        let _ = Corpus::from_path(path, "", &go());
    });
}

fn picture() -> RgbImage {
    RgbImage::from_fn(17, 11, |x, y| {
        let value = x * 31 + y * 57 + x * y * 13;
        image::Rgb([value as u8, (value >> 2) as u8, (value >> 4) as u8])
    })
}

/// The pixels of a picture that lies in a set of its own among whole ones.
fn pixels(path: &Path) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for i in 0..5 {
            let name = folder.path().join(class).join(format!("{i}.png"));
            RgbImage::new(2, 2).save(name).unwrap();
        }
    }
    std::fs::copy(path, folder.path().join("a/0.png")).unwrap();
    let config = ImageConfig {
        name: ImageName::Images,
        path: folder.path().to_string_lossy().into_owned(),
        image_size: 8,
        ..ImageConfig::default()
    };
    let data = ImageData::load(&config, &go()).ok()?;
    Some(data.part(Split::Train).image(0, data.shape()).to_vec())
}

#[test]
fn pictures_are_whole_or_refused() {
    let encoded = |format| {
        let mut bytes = Vec::new();
        picture()
            .write_to(&mut Cursor::new(&mut bytes), format)
            .unwrap();
        bytes
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.png");
    std::fs::write(&path, encoded(ImageFormat::Png)).unwrap();
    let whole = pixels(&path).unwrap();
    mutate("a.png", &encoded(ImageFormat::Png), 100, |_, path| {
        if let Some(pixels) = pixels(path) {
            assert_eq!(pixels, whole);
        }
    });
    // bytes of a JPEG file have no check sum: other pixels may come of them, but not fewer
    let jpeg = encoded(ImageFormat::Jpeg);
    mutate("a.jpg", &jpeg, 200, |bytes, path| {
        if let Some(pixels) = pixels(path) {
            assert_eq!(pixels.len(), 8 * 8 * 3);
            assert!(bytes.windows(2).any(|pair| pair == [0xFF, 0xD9]), "no end");
        }
    });
    for cut in 0..jpeg.len() {
        super::images::decode(&jpeg[..cut]).expect_err("it is cut");
    }
}

#[test]
fn tables_are_read_row_by_row_or_refused() {
    let csv = "id,text\n1,\"one, \"\"two\"\"\n three\"\n2,four é\n3,five\n";
    let jsonl = "{\"text\": \"one \\u00e9\\n\", \"id\": 1}\n{\"text\": \"two\", \"x\": [1, {}]}\n";
    for (name, valid) in [("a.csv", csv), ("a.jsonl", jsonl)] {
        mutate(name, valid.as_bytes(), 300, |bytes, path| {
            if let Ok(corpus) = Corpus::from_path(path, "text", &go()) {
                let text = &corpus.domains[0].files[0];
                assert!(!text.is_empty() && text.len() <= bytes.len());
            }
        });
    }
    let tsv: String = (0..22).map(|i| format!("one {i}\tuno {i}\n")).collect();
    let learned = [tsv.as_str()].into_iter();
    let vocab = Vocab::Unigram(UnigramVocab::train(learned, 359, &go()).unwrap());
    mutate("a.tsv", tsv.as_bytes(), 300, |bytes, path| {
        let config = PairConfig {
            name: PairName::Translation,
            path: path.to_string_lossy().into_owned(),
            vocab_size: 359,
            ..PairConfig::default()
        };
        if let Ok(data) = PairData::load(&config, 64, Some(&vocab), &go()) {
            let lines = bytes.split(|byte| *byte == b'\n');
            let lines = lines.filter(|line| !line.is_empty() && *line != b"\r");
            let pairs = Split::ALL.map(|split| data.eval_batches(split, None, 1).len());
            assert_eq!(pairs.iter().sum::<usize>(), lines.count());
        }
    });
}

#[test]
fn vocabularies_lose_nothing_or_are_refused() {
    let corpus = Corpus::nine_domains();
    let text = Split::Test.of(&corpus.domains[4].files[0]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let bpe = BpeVocab::train([text].into_iter(), 300, &go()).unwrap();
    let unigram = UnigramVocab::train([text].into_iter(), 400, &go()).unwrap();
    for vocab in [Vocab::Bpe(bpe), Vocab::Unigram(unigram)] {
        vocab.save(&path).unwrap();
        let valid = std::fs::read(&path).unwrap();
        mutate("tokenizer.json", &valid, 200, |_, path| {
            if let Ok(vocab) = Vocab::load(path) {
                assert_eq!(vocab.decode(&vocab.encode(text)), text);
            }
        });
    }
}
