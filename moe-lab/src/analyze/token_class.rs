//! Classes of tokens by their characters: the syntax of a token as far as its text alone shows it.

use moe_train::data::{UnigramVocab, Vocab};

/// The class of a token. Spaces around other characters do not count, since byte-level pieces begin with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenClass {
    /// Spaces and line breaks alone.
    Whitespace,
    /// Punctuation, symbols, and all other characters that are neither letter nor digit.
    Punctuation,
    /// Digits and other numbers.
    Digit,
    /// Latin letters, none of them a capital.
    LatinLower,
    /// Latin letters with a capital among them.
    LatinCapital,
    /// Chinese characters.
    Han,
    /// Letters of other scripts.
    OtherLetter,
    /// Characters of several classes.
    Mixed,
    /// A part of a character of several bytes.
    ByteOfCharacter,
    /// A token that stands for no text, such as padding.
    Special,
}

impl TokenClass {
    /// All classes, in the order of tables.
    pub const ALL: [Self; 10] = [
        Self::Whitespace,
        Self::Punctuation,
        Self::Digit,
        Self::LatinLower,
        Self::LatinCapital,
        Self::Han,
        Self::OtherLetter,
        Self::Mixed,
        Self::ByteOfCharacter,
        Self::Special,
    ];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whitespace => "whitespace",
            Self::Punctuation => "punctuation",
            Self::Digit => "digit",
            Self::LatinLower => "Latin lower case",
            Self::LatinCapital => "Latin capital",
            Self::Han => "Han",
            Self::OtherLetter => "other letter",
            Self::Mixed => "mixed",
            Self::ByteOfCharacter => "byte of a character",
            Self::Special => "special",
        }
    }

    /// The class of a token's bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Self::ByteOfCharacter;
        };
        let mut classes = text.trim().chars().map(Self::of_character);
        let Some(first) = classes.next() else {
            return Self::Whitespace;
        };
        classes.fold(first, Self::joined)
    }

    /// The class of a token of a vocabulary.
    ///
    /// # Panics
    ///
    /// Panics if `id` is not in the vocabulary.
    pub fn of_token(vocab: &Vocab, id: u32) -> Self {
        match vocab {
            Vocab::Unigram(_) if (id as usize) < UnigramVocab::N_SPECIAL => Self::Special,
            _ => Self::of_bytes(vocab.token_bytes(id)),
        }
    }

    fn of_character(character: char) -> Self {
        if character.is_whitespace() {
            Self::Whitespace
        } else if character.is_numeric() {
            Self::Digit
        } else if !character.is_alphabetic() {
            Self::Punctuation
        } else if is_han(character) {
            Self::Han
        } else if !is_latin(character) {
            Self::OtherLetter
        } else if character.is_uppercase() {
            Self::LatinCapital
        } else {
            Self::LatinLower
        }
    }

    /// The class of text of both classes.
    fn joined(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Self::LatinLower, Self::LatinCapital) | (Self::LatinCapital, Self::LatinLower) => {
                Self::LatinCapital
            }
            _ => Self::Mixed,
        }
    }
}

fn is_han(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

fn is_latin(character: char) -> bool {
    matches!(character, '\0'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}')
}

/// The classes of a vocabulary's tokens, without those that no token has.
#[derive(Debug, Clone)]
pub(super) struct TokenClasses {
    /// The names, `[C]`.
    pub(super) names: Vec<String>,
    /// The place of each token's class among them, `[V]`.
    pub(super) of_v: Vec<usize>,
}

impl TokenClasses {
    pub(super) fn of(vocab: &Vocab) -> Self {
        let ids = 0..vocab.size() as u32;
        let of_v: Vec<TokenClass> = ids.map(|id| TokenClass::of_token(vocab, id)).collect();
        let mut found = TokenClass::ALL.to_vec();
        found.retain(|class| of_v.contains(class));
        let place = |class: &TokenClass| found.iter().position(|other| other == class);
        Self {
            names: found.iter().map(|class| class.name().to_owned()).collect(),
            of_v: of_v.iter().filter_map(place).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_by_their_characters() {
        use TokenClass as C;
        let rows = [
            (" \n", C::Whitespace),
            ("", C::Whitespace),
            (" ,\"", C::Punctuation),
            ("，", C::Punctuation),
            ("\u{0}", C::Punctuation),
            ("+", C::Punctuation),
            (" 1917", C::Digit),
            (" the", C::LatinLower),
            ("été", C::LatinLower),
            (" The", C::LatinCapital),
            ("NASA", C::LatinCapital),
            ("明月", C::Han),
            ("жизнь", C::OtherLetter),
            ("'s", C::Mixed),
            ("a b", C::Mixed),
            ("x1", C::Mixed),
            ("月a", C::Mixed),
        ];
        for (text, class) in rows {
            assert_eq!(C::of_bytes(text.as_bytes()), class, "{text:?}");
        }
    }

    #[test]
    fn a_part_of_a_character_is_a_class_of_its_own() {
        // 月 is E6 9C 88
        for bytes in [&[0xE6][..], &[0x88], &[b' ', 0xE6, 0x9C]] {
            assert_eq!(TokenClass::of_bytes(bytes), TokenClass::ByteOfCharacter);
        }
    }

    #[test]
    fn bytes_have_six_classes() {
        let classes = TokenClasses::of(&Vocab::Bytes);
        let names =
            "whitespace,punctuation,digit,Latin lower case,Latin capital,byte of a character";
        assert_eq!(classes.names.join(","), names);
        assert_eq!(
            (classes.of_v.len(), classes.of_v[usize::from(b'7')]),
            (256, 2)
        );
        assert!(classes.of_v[128..].iter().all(|class| *class == 5));
    }
}
