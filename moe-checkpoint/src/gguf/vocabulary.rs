//! From the vocabulary of a GGUF file to the published `tokenizer.json`.

use super::error::{Fault, GgufError, damaged, unsupported};
use super::file::Gguf;
use super::split::{SPLITS, Split};
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::HashMap;

/// Longer tokens are taken for damage. Of a vocabulary of scores every token is cut at each of its characters.
const LONGEST: usize = 1024;

/// The space of SentencePiece.
const SPACE: &str = "▁";

/// The token types that matter (`enum llama_token_type`).
const NORMAL: f64 = 1.0;
const CONTROL: f64 = 3.0;
const USER_DEFINED: f64 = 4.0;

/// The tokens of a file.
struct Tokens<'a> {
    texts: Vec<&'a str>,
    /// Their types; `NORMAL` where the file has none.
    kinds: Vec<f64>,
}

impl Gguf {
    /// The text of a `tokenizer.json`; none if the file has no vocabulary.
    pub(crate) fn tokenizer_text(&self) -> Result<Option<Vec<u8>>, GgufError> {
        let tokenizer = self.tokenizer().map_err(|fault| fault.at(&self.path))?;
        Ok(tokenizer.map(|tokenizer| tokenizer.to_string().into_bytes()))
    }

    fn tokenizer(&self) -> Result<Option<Value>, Fault> {
        let Some(tokens) = self.tokens()? else {
            return Ok(None);
        };
        let mut tokenizer = match self.metadata.text("tokenizer.ggml.model") {
            Some("gpt2") => self.byte_level(&tokens)?,
            Some("llama") => self.sentence_piece(&tokens)?,
            other => {
                return unsupported(format!(
                    "tokenizer.ggml.model is {}, and those that are read are gpt2 and llama: {REMEDY}",
                    other.unwrap_or("not said")
                ));
            }
        };
        tokenizer["version"] = "1.0".into();
        tokenizer["added_tokens"] = tokens.added();
        Ok(Some(tokenizer))
    }

    fn tokens(&self) -> Result<Option<Tokens<'_>>, Fault> {
        let Some(texts) = self.metadata.texts("tokenizer.ggml.tokens") else {
            return Ok(None);
        };
        let texts: Vec<&str> = texts.collect();
        if let Some(long) = texts.iter().position(|text| text.len() > LONGEST) {
            return damaged(format!("the token {long} has more than {LONGEST} bytes"));
        }
        let kinds = self.metadata.numbers("tokenizer.ggml.token_type");
        let mut kinds: Vec<f64> = kinds.into_iter().flatten().collect();
        kinds.resize(texts.len(), NORMAL);
        Ok(Some(Tokens { texts, kinds }))
    }

    /// Byte-pair encoding of bytes, as GPT-2 writes them.
    fn byte_level(&self, tokens: &Tokens<'_>) -> Result<Value, Fault> {
        let name = self
            .metadata
            .text("tokenizer.ggml.pre")
            .unwrap_or("default");
        let split = SPLITS.iter().find(|split| split.names.contains(&name));
        let Some(split) = split else {
            let known: Vec<&str> = SPLITS
                .iter()
                .flat_map(|split| split.names)
                .copied()
                .collect();
            return unsupported(format!(
                "tokenizer.ggml.pre is \"{name}\", and those that are read are {}: {REMEDY}",
                known.join(", ")
            ));
        };
        let Some(merges) = self.metadata.texts("tokenizer.ggml.merges") else {
            return damaged("it has no tokenizer.ggml.merges");
        };
        let merges = merges.map(|merge| merge.split_once(' '));
        let Some(merges) = merges.collect::<Option<Vec<_>>>() else {
            return damaged("tokenizer.ggml.merges has one that is not of two tokens");
        };
        Ok(json!({
            "pre_tokenizer": pieces(split),
            "post_processor": self.around(tokens, split.adds_bos),
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "vocab": tokens.vocab(), "merges": merges,
                "ignore_merges": split.whole_pieces},
        }))
    }

    /// SentencePiece's byte-pair encoding: of two neighbours those whose token has the highest score are put
    /// together, and characters that are no token are spelt in bytes.
    fn sentence_piece(&self, tokens: &Tokens<'_>) -> Result<Value, Fault> {
        let scores = self.metadata.numbers("tokenizer.ggml.scores");
        let scores: Vec<f64> = scores.into_iter().flatten().collect();
        if scores.len() != tokens.texts.len() {
            return damaged(format!(
                "it has {} tokens and {} tokenizer.ggml.scores",
                tokens.texts.len(),
                scores.len()
            ));
        }
        let unknown = self.token(tokens, "unknown");
        let prefix = self
            .metadata
            .truth("tokenizer.ggml.add_space_prefix")
            .unwrap_or(true);
        Ok(json!({
            "normalizer": {"type": "Sequence", "normalizers": spaces_written(prefix)},
            "post_processor": self.around(tokens, true),
            "decoder": {"type": "Sequence", "decoders": spaces_read(prefix)},
            "model": {"type": "BPE", "vocab": tokens.vocab(), "merges": tokens.merges(&scores),
                "unk_token": unknown.map(|(_, text)| text), "fuse_unk": true, "byte_fallback": true},
        }))
    }

    /// A special token of a kind, and its id.
    fn token<'a>(&self, tokens: &Tokens<'a>, kind: &str) -> Option<(u64, &'a str)> {
        let id = self
            .metadata
            .whole(&format!("tokenizer.ggml.{kind}_token_id"))?;
        Some((id, tokens.texts.get(usize::try_from(id).ok()?)?))
    }

    /// The tokens that are put around a text.
    fn around(&self, tokens: &Tokens<'_>, adds_bos: bool) -> Value {
        let adds = |kind: &str, usual| {
            let said = self
                .metadata
                .truth(&format!("tokenizer.ggml.add_{kind}_token"));
            self.token(tokens, kind).filter(|_| said.unwrap_or(usual))
        };
        let (bos, eos) = (adds("bos", adds_bos), adds("eos", false));
        let special = |token: Option<(u64, &str)>| {
            token.map(|(_, text)| json!({"SpecialToken": {"id": text, "type_id": 0}}))
        };
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let single: Vec<Value> = [special(bos), Some(text), special(eos)]
            .into_iter()
            .flatten()
            .collect();
        let ids = [bos, eos].into_iter().flatten();
        let ids = ids.map(|(id, text)| (text, json!({"id": text, "ids": [id], "tokens": [text]})));
        json!({"type": "TemplateProcessing", "single": single,
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": ids.collect::<HashMap<_, _>>()})
    }
}

/// Advice about a vocabulary that is not read.
const REMEDY: &str =
    "convert the file with `moe convert`, and put the tokenizer.json of the model into the folder";

/// The splitting of texts, after which bytes are written as GPT-2 writes them.
fn pieces(split: &Split) -> Value {
    let splits = split.expressions.iter().map(|expression| {
        json!({"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false})
    });
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    json!({"type": "Sequence", "pretokenizers": splits.chain([bytes]).collect::<Vec<_>>()})
}

/// The writing of spaces as SentencePiece has them, with one before a text if there is a prefix.
fn spaces_written(prefix: bool) -> Vec<Value> {
    let before = json!({"type": "Prepend", "prepend": SPACE});
    let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    prefix
        .then_some(before)
        .into_iter()
        .chain([spaces])
        .collect()
}

/// The way back, bytes together to characters.
fn spaces_read(prefix: bool) -> Vec<Value> {
    let decoders = [
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    let before = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
    decoders
        .into_iter()
        .chain(prefix.then_some(before))
        .collect()
}

impl<'a> Tokens<'a> {
    fn vocab(&self) -> HashMap<&'a str, usize> {
        self.texts.iter().copied().zip(0..).collect()
    }

    /// Tokens that are found before a text is split: special ones, which a text leaves out when it is decoded, and
    /// those that users defined.
    fn added(&self) -> Value {
        let tokens = self.texts.iter().zip(&self.kinds).enumerate();
        let added = tokens.filter(|(_, (_, kind))| [CONTROL, USER_DEFINED].contains(kind));
        let token = |(id, (text, kind)): (usize, (&&str, &f64))| {
            json!({"id": id, "content": text, "special": *kind == CONTROL, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false})
        };
        added.map(token).collect()
    }

    /// The merges that scores stand for, the first to be done first: each cut of a token in two tokens. Of one score
    /// those with the longer first part come first, as in transformers (`generate_merges`).
    fn merges(&self, scores: &[f64]) -> Vec<(&'a str, &'a str)> {
        let ids = self.vocab();
        let mut merges = Vec::new();
        for ((text, kind), score) in self.texts.iter().zip(&self.kinds).zip(scores) {
            if ![NORMAL, USER_DEFINED].contains(kind) {
                continue;
            }
            let cuts = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
            let cuts =
                cuts.filter(|(left, right)| ids.contains_key(left) && ids.contains_key(right));
            merges.extend(cuts.map(|cut| (cut, *score)));
        }
        let lengths = |(left, right): &(&str, &str)| (left.chars().count(), right.chars().count());
        let order = |a: &((&str, &str), f64), b: &((&str, &str), f64)| -> Ordering {
            let by_score = b.1.total_cmp(&a.1);
            by_score.then_with(|| lengths(&b.0).cmp(&lengths(&a.0)))
        };
        merges.sort_by(order);
        merges.into_iter().map(|(cut, _)| cut).collect()
    }
}
