//! A corpus: named domains of text, embedded or read from the user's files.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::data::{DataError, Split};

/// Text in named domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    /// The name for reports: `nine_domains`, `random_text`, or the path that was read.
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
    /// The texts of validation, where the files have no share for it: they train up to the test part.
    pub validation: Vec<Cow<'static, str>>,
    /// The texts of the test part, where the files have no share for it.
    pub test: Vec<Cow<'static, str>>,
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
            validation: Vec::new(),
            test: Vec::new(),
        };
        Self {
            name: "nine_domains".to_string(),
            domains: NINE_DOMAINS.into_iter().map(domain).collect(),
        }
    }

    /// 2 MiB of letters from `a` to `p`, each drawn by itself and alike: nothing predicts the next one, so no
    /// model that sees the past alone has a loss below log2(16) = 4 bits a byte.
    pub fn random_text() -> Self {
        const BYTES: usize = 1 << 21;
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let text = (0..BYTES).map(|_| char::from(b'a' + rng.random_range(0..16u8)));
        Self {
            name: "random_text".to_string(),
            domains: vec![Domain {
                name: "letters".to_string(),
                files: vec![Cow::Owned(text.collect())],
                validation: Vec::new(),
                test: Vec::new(),
            }],
        }
    }

    /// The corpus with texts of its own for validation, matched by the names of the domains; one domain on each
    /// side belongs together whatever the names.
    ///
    /// # Errors
    ///
    /// [`DataError::OtherDomains`] if a domain of one has none in the other; [`DataError::OwnParts`] if one of them
    /// has been divided into parts.
    pub fn with_validation(mut self, other: Self) -> Result<Self, DataError> {
        if let Some(divided) = [&self, &other]
            .into_iter()
            .find(|corpus| corpus.has_parts())
        {
            let path = divided.name.clone();
            return Err(DataError::OwnParts { path });
        }
        let is_single = self.domains.len() == 1 && other.domains.len() == 1;
        let names = |corpus: &Self| -> Vec<String> {
            corpus
                .domains
                .iter()
                .map(|domain| domain.name.clone())
                .collect()
        };
        let (own, theirs) = (names(&self), names(&other));
        let mut by_name: BTreeMap<String, Domain> = BTreeMap::new();
        for domain in other.domains {
            by_name.insert(domain.name.clone(), domain);
        }
        for domain in &mut self.domains {
            let found = match by_name.remove(&domain.name) {
                None if is_single => by_name.pop_first().map(|(_, domain)| domain),
                found => found,
            };
            match found {
                Some(found) => domain.validation = found.files,
                None => return Err(DataError::OtherDomains { own, theirs }),
            }
        }
        if !by_name.is_empty() {
            return Err(DataError::OtherDomains { own, theirs });
        }
        Ok(self)
    }

    /// Tells whether its parts were made before it was read.
    fn has_parts(&self) -> bool {
        self.domains.iter().any(|domain| !domain.test.is_empty())
    }
}

impl Domain {
    /// The domain's part of a split: that part of each file in order, joined with a newline.
    pub fn part(&self, split: Split) -> Cow<'_, str> {
        let parts: Vec<&str> = self
            .texts(split)
            .iter()
            .map(|text| &text[self.range(split, text)])
            .collect();
        match parts[..] {
            [part] => Cow::Borrowed(part),
            _ => Cow::Owned(parts.join("\n")),
        }
    }

    /// The texts that a part is cut from.
    fn texts(&self, split: Split) -> &[Cow<'static, str>] {
        match split {
            Split::Validation if !self.validation.is_empty() => &self.validation,
            Split::Test if !self.test.is_empty() => &self.test,
            _ => &self.files,
        }
    }

    /// Tells whether a part is all of its texts, and no share of them.
    pub(super) fn is_whole(&self, split: Split) -> bool {
        let (validation, test) = (!self.validation.is_empty(), !self.test.is_empty());
        match split {
            Split::Train => validation && test,
            Split::Validation => validation,
            Split::Test => test,
        }
    }

    /// The bytes of a part in one of its texts.
    fn range(&self, split: Split, text: &str) -> Range<usize> {
        match split {
            _ if self.is_whole(split) => 0..text.len(),
            Split::Train if self.is_whole(Split::Validation) => {
                0..Split::Validation.range(text).end
            }
            _ => split.range(text),
        }
    }

    /// All parts in the order of [`Split::ALL`], each as a range of a text. A single file is all of them,
    /// and is not copied.
    pub(super) fn into_parts(mut self) -> [(Arc<Cow<'static, str>>, Range<usize>); 3] {
        if self.files.len() == 1 && self.validation.is_empty() && self.test.is_empty() {
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
    fn random_letters_are_alike_and_always_the_same() {
        let corpus = Corpus::random_text();
        let text = &corpus.domains[0].files[0];
        assert_eq!(text.len(), 1 << 21);
        assert_eq!(*text, Corpus::random_text().domains[0].files[0]);
        let mut counts = [0u32; 16];
        for byte in text.bytes() {
            counts[usize::from(byte - b'a')] += 1;
        }
        // 131,072 each, with a deviation of sqrt(2^21 * 15 / 256) = 351
        assert!(
            counts.iter().all(|&n| n.abs_diff(1 << 17) < 5 * 351),
            "{counts:?}"
        );
    }

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
    fn validation_belongs_to_the_domain_of_its_name() {
        let corpus = |names: &[&str]| Corpus {
            name: "c".into(),
            domains: names
                .iter()
                .map(|name| Domain {
                    name: (*name).into(),
                    files: vec![format!("text of {name}").into()],
                    validation: Vec::new(),
                    test: Vec::new(),
                })
                .collect(),
        };
        let joined = corpus(&["a", "b"]).with_validation(corpus(&["b", "a"]));
        let joined = joined.expect("the same names");
        assert_eq!(joined.domains[0].part(Split::Validation), "text of a");
        assert!(corpus(&["train"]).with_validation(corpus(&["val"])).is_ok());
        for (own, theirs) in [(&["a", "b"][..], &["a"][..]), (&["a"], &["a", "b"])] {
            let error = corpus(own)
                .with_validation(corpus(theirs))
                .expect_err("other names");
            assert!(
                error.to_string().contains("data.validation_path"),
                "{error}"
            );
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
            validation: Vec::new(),
            test: Vec::new(),
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
        let own = Domain {
            validation: vec!["val".into(), "idation".into()],
            ..domain.clone()
        };
        // what validated trains
        assert_eq!(
            own.part(Split::Train),
            "a".repeat(18) + "b\n" + &"d".repeat(18) + "e"
        );
        assert_eq!(own.part(Split::Validation), "val\nidation");
        assert_eq!(own.part(Split::Test), "c\nf");
        let divided = Domain {
            test: vec!["test".into()],
            ..own.clone()
        };
        // all of the files trains
        let whole = domain.files.join("\n");
        assert_eq!(divided.part(Split::Train), whole);
        assert_eq!(divided.part(Split::Validation), "val\nidation");
        assert_eq!(divided.part(Split::Test), "test");
        for domain in [domain, one, own, divided] {
            let expected = Split::ALL.map(|split| domain.part(split).into_owned());
            let parts = domain.into_parts();
            assert_eq!(parts.map(|(text, range)| text[range].to_owned()), expected);
        }
    }
}
