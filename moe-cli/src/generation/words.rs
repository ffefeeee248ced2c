//! Text to tokens and back: by a vocabulary, a published tokenizer, or as ids.

use crate::exit::Usage;
use moe_checkpoint::{PublishedTokenizer, TokenStream};
use moe_train::data::{StreamDecoder, Vocab};

/// Text to tokens and back.
#[derive(Debug)]
pub enum Words {
    /// The vocabulary of a run.
    Vocab(Vocab),
    /// A published tokenizer.
    Tokenizer {
        /// The tokenizer.
        tokenizer: Box<PublishedTokenizer>,
        /// The number of tokens of the model.
        vocab_size: usize,
    },
    /// No tokenizer: texts are token ids with spaces between.
    Ids {
        /// The number of tokens of the model.
        vocab_size: usize,
    },
}

impl Words {
    /// A published tokenizer, or ids without one.
    pub fn published(tokenizer: Option<PublishedTokenizer>, vocab_size: usize) -> Self {
        match tokenizer {
            Some(tokenizer) => Self::Tokenizer {
                tokenizer: Box::new(tokenizer),
                vocab_size,
            },
            None => Self::Ids { vocab_size },
        }
    }

    /// The number of tokens of the model.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Vocab(vocab) => vocab.size(),
            Self::Tokenizer { vocab_size, .. } | Self::Ids { vocab_size } => *vocab_size,
        }
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        let (ids, vocab_size) = match self {
            Self::Vocab(vocab) => return Ok(vocab.encode(text)),
            Self::Tokenizer {
                tokenizer,
                vocab_size,
            } => (tokenizer.encode(text)?, *vocab_size),
            Self::Ids { vocab_size } => (parse(text)?, *vocab_size),
        };
        if ids.is_empty() {
            return Err(Usage::error("the prompt has no token"));
        }
        match ids.iter().find(|id| **id as usize >= vocab_size) {
            Some(id) => Err(Usage::error(format!(
                "the prompt has the token {id}, and the model's vocabulary is of {vocab_size}: check \
                 that tokenizer.json belongs to the model"
            ))),
            None => Ok(ids),
        }
    }

    /// A decoder for tokens as they arrive.
    pub fn stream(&self) -> WordStream<'_> {
        match self {
            Self::Vocab(vocab) => WordStream::Vocab(StreamDecoder::new(vocab)),
            Self::Tokenizer { tokenizer, .. } => WordStream::Tokenizer(tokenizer.stream()),
            Self::Ids { .. } => WordStream::Ids,
        }
    }
}

pub(super) fn parse(text: &str) -> anyhow::Result<Vec<u32>> {
    let ids = text.split_whitespace().map(str::parse);
    ids.collect::<Result<_, _>>().map_err(|_| {
        Usage::error(
            "the checkpoint has no tokenizer.json: give the prompt as token ids, such as -p \"1 15 7\"",
        )
    })
}

/// Decodes tokens as they arrive, whole characters at a time.
#[derive(Debug)]
pub enum WordStream<'a> {
    /// Of a run's vocabulary.
    Vocab(StreamDecoder<'a>),
    /// Of a published tokenizer.
    Tokenizer(TokenStream<'a>),
    /// Ids, each with a space after it.
    Ids,
}

impl WordStream<'_> {
    /// Takes one token and returns the text that it completes, often none.
    pub fn push(&mut self, id: u32) -> String {
        match self {
            Self::Vocab(stream) => stream.push(id),
            Self::Tokenizer(stream) => stream.push(id),
            Self::Ids => format!("{id} "),
        }
    }

    /// Ends the text.
    pub fn finish(self) -> String {
        match self {
            Self::Vocab(stream) => stream.finish(),
            Self::Tokenizer(stream) => stream.finish(),
            Self::Ids => String::new(),
        }
    }
}
