//! A corpus: named domains of text, embedded or read from the user's files.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::data::Split;

/// Text in named domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    /// The name for reports: `nine_domains`, or the path that was read.
    pub name: String,
    /// The domains; the place in this list is a domain's label.
    pub domains: Vec<Domain>,
}

/// One domain: a kind of text, such as drama or code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The name, unique in its corpus.
    pub name: String,
    /// The whole text of each file. Each is split by itself, so that every part sees every file.
    pub files: Vec<Cow<'static, str>>,
}

/// The embedded files: name and text. Sources and licences are in `data/NOTICE`.
const NINE_DOMAINS: [(&str, &str); 9] = [
    ("drama_en", include_str!("../../../data/drama_en.txt")),
    ("novel_en", include_str!("../../../data/novel_en.txt")),
    (
        "scripture_en",
        include_str!("../../../data/scripture_en.txt"),
    ),
    (
        "scripture_es",
        include_str!("../../../data/scripture_es.txt"),
    ),
    (
        "scripture_fr",
        include_str!("../../../data/scripture_fr.txt"),
    ),
    ("politics_en", include_str!("../../../data/politics_en.txt")),
    ("poetry_zh", include_str!("../../../data/poetry_zh.txt")),
    (
        "maths_metamath",
        include_str!("../../../data/maths_metamath.txt"),
    ),
    ("code_rust", include_str!("../../../data/code_rust.txt")),
];

impl Corpus {
    /// The embedded corpus: nine domains of about 262 kB each, 2.36 MB in all.
    ///
    /// Shakespeare, Austen, the Bible in English, Spanish and French, addresses of American presidents,
    /// Tang poems, Metamath proofs and Rust sources.
    pub fn nine_domains() -> Self {
        let domain = |(name, text): (&str, &'static str)| Domain {
            name: name.to_string(),
            files: vec![Cow::Borrowed(text)],
        };
        Self {
            name: "nine_domains".to_string(),
            domains: NINE_DOMAINS.into_iter().map(domain).collect(),
        }
    }
}

impl Domain {
    /// The domain's part of a split: that part of each file in order, joined with a newline.
    pub fn part(&self, split: Split) -> Cow<'_, str> {
        match self.files.as_slice() {
            [file] => Cow::Borrowed(split.of(file)),
            files => {
                let parts: Vec<&str> = files.iter().map(|file| split.of(file)).collect();
                Cow::Owned(parts.join("\n"))
            }
        }
    }

    /// All parts in the order of [`Split::ALL`], each as a range of a text. A single file is all of them,
    /// and is not copied.
    pub(super) fn into_parts(mut self) -> [(Arc<Cow<'static, str>>, Range<usize>); 3] {
        if self.files.len() == 1 {
            let file = Arc::new(self.files.remove(0));
            return Split::ALL.map(|split| (Arc::clone(&file), split.range(&file)));
        }
        Split::ALL.map(|split| {
            let part = self.part(split).into_owned();
            let range = 0..part.len();
            (Arc::new(Cow::Owned(part)), range)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_domains_of_the_published_sizes() {
        let corpus = Corpus::nine_domains();
        let sizes: Vec<(&str, usize)> = corpus
            .domains
            .iter()
            .map(|domain| (domain.name.as_str(), domain.files[0].len()))
            .collect();
        let expected = [
            ("drama_en", 262_106),
            ("novel_en", 262_098),
            ("scripture_en", 261_958),
            ("scripture_es", 262_069),
            ("scripture_fr", 262_128),
            ("politics_en", 260_936),
            ("poetry_zh", 262_113),
            ("maths_metamath", 262_065),
            ("code_rust", 262_140),
        ];
        assert_eq!(sizes, expected);
    }

    #[test]
    fn every_embedded_file_has_its_notice() {
        let notice = include_str!("../../../data/NOTICE");
        for (name, _) in NINE_DOMAINS {
            assert!(notice.contains(&format!("\n{name}.txt ")), "{name}");
        }
    }

    #[test]
    fn each_file_is_split_by_itself() {
        // 20 bytes each: 18 train, 1 validation, 1 test.
        let domain = Domain {
            name: "two".into(),
            files: vec![
                ("a".repeat(18) + "bc").into(),
                ("d".repeat(18) + "ef").into(),
            ],
        };
        assert_eq!(
            domain.part(Split::Train),
            "a".repeat(18) + "\n" + &"d".repeat(18)
        );
        assert_eq!(domain.part(Split::Validation), "b\ne");
        assert_eq!(domain.part(Split::Test), "c\nf");
        let one = Domain {
            files: domain.files[..1].to_vec(),
            ..domain.clone()
        };
        for domain in [domain, one] {
            let expected = Split::ALL.map(|split| domain.part(split).into_owned());
            let parts = domain.into_parts();
            assert_eq!(parts.map(|(text, range)| text[range].to_owned()), expected);
        }
    }
}
