//! Documents: their normalised text, their hash, their part, and their paragraphs.

use crate::data::Split;
use sha2::{Digest, Sha256};
use std::iter;

/// Bytes of letters from which on a paragraph may stand in one place only.
pub const LONG_PARAGRAPH: usize = 48;

/// A document that may become part of a corpus.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// Place of its source.
    pub(super) domain: usize,
    pub(super) name: String,
    pub(super) text: String,
    /// SHA-256 of its text before paragraphs were removed.
    pub(super) hash: [u8; 32],
    pub(super) part: Split,
    /// Paragraphs that were removed.
    pub(super) removed: usize,
}

impl Document {
    /// A document with line ends of one kind, or none if there is no text.
    pub(super) fn new(domain: usize, name: String, text: &str, seed: u64) -> Option<Self> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let text = text.trim_start_matches('\n').trim_end();
        if text.is_empty() {
            return None;
        }
        let text = format!("{text}\n");
        let hash: [u8; 32] = Sha256::digest(&text).into();
        Some(Self {
            domain,
            name,
            text,
            hash,
            part: part_of(&hash, seed),
            removed: 0,
        })
    }
}

/// The part of a document: 90, 5 and 5 of a hundred, by its hash and the seed alone.
pub(super) fn part_of(hash: &[u8; 32], seed: u64) -> Split {
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    digest.update(hash);
    let drawn = digest.finalize()[..8].iter().fold(0, |number, &byte| {
        // the remainder of the eight bytes as one number
        (number * 256 + u64::from(byte)) % 100
    });
    match drawn {
        0..90 => Split::Train,
        90..95 => Split::Validation,
        _ => Split::Test,
    }
}

/// The paragraphs of a text with the empty lines that follow each; they concatenate to it.
pub(super) fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    iter::from_fn(move || {
        let (mut end, mut is_over) = (0, false);
        for line in rest.split_inclusive('\n') {
            let is_empty = line.trim().is_empty();
            if is_over && !is_empty {
                break;
            }
            is_over = is_empty;
            end += line.len();
        }
        let (paragraph, after) = rest.split_at(end);
        rest = after;
        (end > 0).then_some(paragraph)
    })
}

/// The key that two copies of a paragraph share: a hash of its letters, whatever their case and what stands between them;
/// none of a short one.
pub(super) fn key(paragraph: &str) -> Option<[u8; 16]> {
    let letters = paragraph.chars().filter(|c| c.is_alphabetic());
    let letters: String = letters.flat_map(char::to_lowercase).collect();
    if letters.len() < LONG_PARAGRAPH {
        return None;
    }
    let mut key = [0; 16];
    key.copy_from_slice(&Sha256::digest(&letters)[..16]);
    Some(key)
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn line_ends_are_of_one_kind() {
        let text = |text| Document::new(0, String::new(), text, 0).map(|document| document.text);
        assert_eq!(text("\r\na\r\nb\rc  \n\n").unwrap(), "a\nb\nc\n");
        assert_eq!(text(" \r\n"), None);
    }

    #[test]
    fn a_document_keeps_its_part_and_a_seed_deals_anew() {
        let documents: Vec<Document> = (0..2000)
            .filter_map(|i| Document::new(0, String::new(), &format!("text {i}"), 7))
            .collect();
        let count = |split| documents.iter().filter(|d| d.part == split).count();
        let [train, validation, test] = Split::ALL.map(count);
        assert_eq!(train + validation + test, 2000);
        // five standard deviations of a share of 90 % and of 5 %
        assert!(train.abs_diff(1800) < 67, "{train}");
        assert!(validation.abs_diff(100) < 49 && test.abs_diff(100) < 49);
        let moved = documents.iter().filter(|d| part_of(&d.hash, 8) != d.part);
        assert!(moved.count() > 200);
        // values that later builds have to give too
        assert_eq!(part_of(&[0; 32], 2), Split::Test);
        assert_eq!(part_of(&[7; 32], 2), Split::Validation);
    }

    #[test]
    fn a_paragraph_is_known_by_its_letters() {
        let long = "The quick brown fox jumps over the lazy dog, and over the hedge.";
        assert_eq!(key(long), key(&long.to_uppercase().replace(' ', "\n")));
        assert_eq!(key(long), key(&format!("12 {long}")));
        assert_ne!(key(long), key(&long.replace("lazy", "busy")));
        assert_eq!(key("The quick brown fox."), None);
        assert!(key("秦川雄帝宅，函谷壯皇居。綺殿千尋起，離宮百雉餘。").is_some());
    }

    proptest! {
        #[test]
        fn paragraphs_concatenate_to_the_text(text in "[a \n]{0,40}") {
            prop_assert_eq!(paragraphs(&text).collect::<String>(), text);
        }
    }

    #[test]
    fn empty_lines_part_paragraphs() {
        let all: Vec<&str> = paragraphs("\na\nb\n\n \nc\n").collect();
        assert_eq!(all, ["\n", "a\nb\n\n \n", "c\n"]);
    }
}
