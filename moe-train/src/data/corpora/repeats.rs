//! Texts that stand in several places, of which one is kept.

use super::document::{Document, key, paragraphs};
use super::manifest::Removed;
use crate::data::{DataError, Split, read::check_stop};
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

/// Documents with what was removed of each source.
pub(super) struct Kept {
    pub(super) documents: Vec<Document>,
    pub(super) removed: Vec<Removed>,
}

/// Keeps one of equal documents, and one of equal long paragraphs. What is held out keeps it: of a paragraph of
/// the test part and of the training part the latter is removed, and of two in one part the later. A document of
/// which less than half would be left is removed as a whole.
pub(super) fn without_repeats(
    documents: Vec<Document>,
    n_domains: usize,
    stop: &AtomicBool,
) -> Result<Kept, DataError> {
    let mut removed = vec![Removed::default(); n_domains];
    let mut hashes = HashSet::new();
    let mut documents: Vec<Option<Document>> = documents
        .into_iter()
        .map(|document| {
            let is_new = hashes.insert(document.hash);
            if !is_new {
                let of = &mut removed[document.domain];
                of.equal_documents += 1;
                of.bytes += document.text.len();
            }
            is_new.then_some(document)
        })
        .collect();
    let mut seen = HashSet::new();
    for part in [Split::Test, Split::Validation, Split::Train] {
        for slot in &mut documents {
            check_stop(stop)?;
            if let Some(document) = slot.take_if(|document| document.part == part) {
                let of = &mut removed[document.domain];
                *slot = without_seen(document, &mut seen, of);
            }
        }
    }
    let documents = documents.into_iter().flatten().collect();
    Ok(Kept { documents, removed })
}

/// The document without the paragraphs that stand in others; none if that is most of it.
fn without_seen(
    mut document: Document,
    seen: &mut HashSet<[u8; 16]>,
    removed: &mut Removed,
) -> Option<Document> {
    let mut own = HashSet::new();
    let is_new =
        |paragraph: &&str| key(paragraph).is_none_or(|key| !seen.contains(&key) && own.insert(key));
    let before = document.text.len();
    let n_before = paragraphs(&document.text).count();
    let kept: Vec<&str> = paragraphs(&document.text).filter(is_new).collect();
    let n_removed = n_before - kept.len();
    let text = format!("{}\n", kept.concat().trim_end());
    if 2 * text.len() < before {
        removed.repeating_documents += 1;
        removed.bytes += before;
        return None;
    }
    seen.extend(own);
    if n_removed > 0 {
        removed.paragraphs += n_removed;
        removed.bytes += before - text.len();
        document.removed = n_removed;
        document.text = text;
    }
    Some(document)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ONE: &str = "One paragraph that is long enough to be known wherever it stands.\n";
    const TWO: &str = "Two of them are in this text, of which neither is known as short.\n";
    const THREE: &str = "Three is the last one, and as long as the others are, or longer.\n";

    fn document(part: Split, paragraphs: &[&str]) -> Document {
        let text = paragraphs.join("\n");
        let document = Document::new(0, String::new(), &text, 0).unwrap();
        Document { part, ..document }
    }

    fn kept(documents: Vec<Document>) -> (Vec<String>, Removed) {
        let kept = without_repeats(documents, 1, &AtomicBool::new(false)).unwrap();
        let texts = kept.documents.into_iter().map(|d| d.text).collect();
        (texts, kept.removed[0])
    }

    #[test]
    fn one_of_equal_documents_stays() {
        let (texts, removed) = kept(vec![
            document(Split::Train, &[ONE, TWO]),
            document(Split::Train, &[ONE, TWO]),
            document(Split::Train, &["short\n"]),
        ]);
        assert_eq!(texts, [format!("{ONE}\n{TWO}"), "short\n".to_owned()]);
        assert_eq!((removed.equal_documents, removed.paragraphs), (1, 0));
    }

    #[test]
    fn a_paragraph_stays_where_it_is_held_out() {
        let (texts, removed) = kept(vec![
            document(Split::Train, &[ONE, TWO, "short\n"]),
            document(Split::Test, &["1 ", ONE, THREE, "short\n"]),
        ]);
        assert_eq!(texts[0], format!("{TWO}\nshort\n"));
        assert!(texts[1].contains(ONE) && texts[1].contains(THREE));
        assert_eq!((removed.equal_documents, removed.paragraphs), (0, 1));
        assert_eq!(removed.bytes, ONE.len() + 1);
    }

    #[test]
    fn a_paragraph_is_not_said_twice_in_one_document() {
        let (texts, removed) = kept(vec![document(Split::Train, &[ONE, TWO, ONE, "end\n"])]);
        assert_eq!(texts, [format!("{ONE}\n{TWO}\nend\n")]);
        assert_eq!(removed.paragraphs, 1);
    }

    #[test]
    fn a_document_of_repeats_goes_and_takes_nothing_with_it() {
        let (texts, removed) = kept(vec![
            document(Split::Test, &[ONE, TWO]),
            // THREE goes with it, and so is new where it stands next
            document(Split::Validation, &[ONE, TWO, THREE]),
            document(Split::Train, &[THREE, "other words\n"]),
        ]);
        assert_eq!(
            texts,
            [format!("{ONE}\n{TWO}"), format!("{THREE}\nother words\n")]
        );
        assert_eq!((removed.repeating_documents, removed.paragraphs), (1, 0));
    }
}
