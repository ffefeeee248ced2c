//! The sizes of a data set: bytes and tokens of every domain and part.

use std::fmt;

use serde::Serialize;

/// The sizes of a [`TextData`](crate::data::TextData); displays as a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataSummary {
    /// The corpus: `nine_domains` or the path.
    pub corpus: String,
    /// Tokens of the vocabulary.
    pub vocab_size: usize,
    /// One entry a domain, in the order of the labels.
    pub domains: Vec<DomainSummary>,
}

/// The sizes of one domain, each for train, validation and test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DomainSummary {
    /// The name of the domain.
    pub name: String,
    /// Bytes of each part.
    pub bytes: [usize; 3],
    /// Tokens of each part.
    pub tokens: [usize; 3],
}

impl DataSummary {
    /// The sizes of all domains together.
    pub fn total(&self) -> DomainSummary {
        let sum = |sizes: fn(&DomainSummary) -> &[usize; 3]| {
            std::array::from_fn(|i| self.domains.iter().map(|domain| sizes(domain)[i]).sum())
        };
        DomainSummary {
            name: "total".to_string(),
            bytes: sum(|domain| &domain.bytes),
            tokens: sum(|domain| &domain.tokens),
        }
    }
}

impl fmt::Display for DataSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}, vocabulary of {} tokens",
            self.corpus, self.vocab_size
        )?;
        let total = self.total();
        let rows = self.domains.iter().chain([&total]);
        let width = rows
            .clone()
            .map(|row| row.name.chars().count())
            .max()
            .unwrap_or(0)
            .max("domain".len());
        writeln!(
            f,
            "{:width$} {:>11} {:>11} {:>11} {:>12} {:>12} {:>12}",
            "domain",
            "train bytes",
            "valid bytes",
            "test bytes",
            "train tokens",
            "valid tokens",
            "test tokens"
        )?;
        for DomainSummary {
            name,
            bytes,
            tokens,
        } in rows
        {
            write!(f, "{name:width$}")?;
            bytes.iter().try_for_each(|n| write!(f, " {n:>11}"))?;
            tokens.iter().try_for_each(|n| write!(f, " {n:>12}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{Corpus, Domain, TextData, Vocab};
    use std::sync::atomic::AtomicBool;

    #[test]
    fn summary_displays_as_a_table() {
        let domain = |name: &str, size| Domain {
            name: name.into(),
            files: vec!["a".repeat(size).into()],
            validation: Vec::new(),
            test: Vec::new(),
        };
        let corpus = Corpus {
            name: "mine".into(),
            domains: vec![domain("law", 1000), domain("prose", 2000)],
        };
        let data = TextData::new(corpus, Vocab::Bytes, 8, &AtomicBool::new(false))
            .expect("the sizes fill a window");
        let expected = "\
mine, vocabulary of 256 tokens
domain train bytes valid bytes  test bytes train tokens valid tokens  test tokens
law            900          50          50          900           50           50
prose         1800         100         100         1800          100          100
total         2700         150         150         2700          150          150
";
        assert_eq!(data.describe().to_string(), expected);
    }
}
