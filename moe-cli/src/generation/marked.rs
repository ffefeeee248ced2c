//! Text to tokens and back, for models that write into marked gaps.

use super::words::parse;
use crate::exit::Usage;
use moe_checkpoint::PublishedTokenizer;
use moe_train::data::{UnigramVocab, Vocab};

/// Text to tokens and back for an encoder with a decoder, where a text may have gaps: `<extra_id_0>`,
/// `<extra_id_1>`, and so on.
#[derive(Debug)]
pub enum MarkedWords {
    /// The vocabulary of a run.
    Vocab(Vocab),
    /// A published tokenizer.
    Tokenizer {
        /// The tokenizer.
        tokenizer: Box<PublishedTokenizer>,
        /// The token of each gap.
        gaps: Vec<u32>,
        /// The token that ends a text.
        end: Option<u32>,
    },
    /// No tokenizer: texts are token ids with spaces between.
    Ids,
}

impl MarkedWords {
    /// A published tokenizer, or ids without one; `end` ends a text.
    pub fn published(tokenizer: Option<PublishedTokenizer>, end: Option<u32>) -> Self {
        match tokenizer {
            None => Self::Ids,
            Some(tokenizer) => Self::Tokenizer {
                gaps: (0..UnigramVocab::N_SENTINELS)
                    .map_while(|gap| tokenizer.id(&format!("<extra_id_{gap}>")))
                    .collect(),
                tokenizer: Box::new(tokenizer),
                end,
            },
        }
    }

    /// The tokens of a text with the end that the model reads; ids are taken as they are given.
    pub fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        let (mut ids, end) = match self {
            Self::Vocab(vocab) => (vocab.encode_marked(text), Some(UnigramVocab::END)),
            Self::Tokenizer { tokenizer, end, .. } => (tokenizer.encode(text)?, *end),
            Self::Ids => (parse(text)?, None),
        };
        if let Some(end) = end.filter(|end| ids.last() != Some(end)) {
            ids.push(end);
        }
        if ids.is_empty() {
            Err(Usage::error("the prompt has no token"))
        } else {
            Ok(ids)
        }
    }

    /// The text of tokens, sentinels as they are written.
    pub fn decode(&self, ids: &[u32]) -> String {
        match self {
            Self::Vocab(vocab) => vocab.decode(ids),
            Self::Tokenizer { tokenizer, .. } => tokenizer.decode_marked(ids),
            Self::Ids => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                ids.join(" ")
            }
        }
    }

    /// The gap that a token stands for, if it is a sentinel.
    pub fn gap(&self, id: u32) -> Option<usize> {
        match self {
            Self::Vocab(_) => UnigramVocab::gap(id),
            Self::Tokenizer { gaps, .. } => gaps.iter().position(|gap| *gap == id),
            Self::Ids => None,
        }
    }
}
