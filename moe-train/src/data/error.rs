//! Errors of a run's data: each message says what, where and what to do.

use std::path::PathBuf;

use thiserror::Error;

use super::corpora::CorpusError;
use super::{ImageError, PairError, Split, TableError};

/// An error of reading, splitting or encoding data.
#[derive(Debug, Error)]
pub enum DataError {
    /// The path of the configuration does not exist.
    #[error(
        "data.path: `{path}` does not exist; give a text file, a folder, or several separated by commas"
    )]
    MissingPath {
        /// The path as it was given.
        path: PathBuf,
    },
    /// `data.name = "text"` without a path.
    #[error(
        "data.path is empty, but data.name = \"text\" reads your own text; set data.path to a file or folder"
    )]
    EmptyPath,
    /// A path was given, but the name selects a corpus of the program.
    #[error(
        "data.path = \"{path}\" is not read, because data.name = \"{name}\"; set data.name = \"text\" or remove data.path"
    )]
    UnusedPath {
        /// The path as it was given.
        path: String,
        /// The corpus.
        name: &'static str,
    },
    /// Texts for validation of the embedded corpus, which has its own.
    #[error(
        "data.validation_path = \"{path}\" is not read, because the texts of the program have their own validation part; set data.name = \"text\" and data.path to your text, or remove data.validation_path"
    )]
    UnusedValidationPath {
        /// The path as it was given.
        path: String,
    },
    /// Domains for validation that are not those of training.
    #[error(
        "data.validation_path has the domains {}, and data.path has {}; give each domain a file or folder of the same name in both",
        .theirs.join(", "), .own.join(", ")
    )]
    OtherDomains {
        /// The names of the domains that train.
        own: Vec<String>,
        /// Those that validate.
        theirs: Vec<String>,
    },
    /// A column was chosen of the embedded corpus.
    #[error(
        "data.column = \"{column}\" is not read, because the nine domains are no table; set data.path to yours, or remove data.column"
    )]
    UnusedColumn {
        /// The column as it was given.
        column: String,
    },
    /// A folder without a single file that is not hidden.
    #[error(
        "`{path}` holds no text file (hidden files are skipped); put UTF-8 files or folders of them there"
    )]
    NoTextFiles {
        /// The folder.
        path: PathBuf,
    },
    /// A file of zero bytes.
    #[error("`{path}` is empty; remove it or put text into it")]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A file that is not text, or not in UTF-8.
    #[error(
        "`{path}` is not UTF-8 at byte {offset}; convert it (`iconv -t utf-8`), or move it away or hide it (a leading dot) if it is not text"
    )]
    InvalidUtf8 {
        /// The file.
        path: PathBuf,
        /// Bytes before the first one that is not UTF-8.
        offset: usize,
    },
    /// A text of two bytes a character.
    #[error("`{path}` is UTF-16; convert it (`iconv -f utf-16 -t utf-8`)")]
    Utf16 {
        /// The file.
        path: PathBuf,
    },
    /// A file with a byte that no text has.
    #[error(
        "`{path}` has a NUL at byte {offset}, so it is no text, or one in UTF-16; convert it (`iconv -f utf-16 -t utf-8`), or move it away or hide it (a leading dot)"
    )]
    NulByte {
        /// The file.
        path: PathBuf,
        /// Bytes before the first NUL.
        offset: usize,
    },
    /// A file of a format that holds no plain text.
    #[error("`{path}` is {what}, which is not read as text; {remedy}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format.
        what: &'static str,
        /// Remedy.
        remedy: &'static str,
    },
    /// A table of texts.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A size that memory does not hold.
    #[error(
        "`{path}` needs {} MB of memory, and {} MB are available; give less of it, or make room",
        .needed.div_ceil(1_000_000), .available / 1_000_000
    )]
    Memory {
        /// The file or folder.
        path: PathBuf,
        /// The bytes needed.
        needed: u128,
        /// The bytes that there are.
        available: u64,
    },
    /// The system gives no thread to learn a vocabulary on.
    #[error("cannot start a thread: {0}; raise the limit of processes (`ulimit -u`)")]
    NoThread(String),
    /// A request to stop, before all data was read.
    #[error("interrupted while the data was read")]
    Interrupted,
    /// Two files or folders would be the same domain.
    #[error(
        "`{first}` and `{second}` are both the domain `{name}`; rename one, or put both into one folder `{name}`"
    )]
    DuplicateDomain {
        /// The name of the domain.
        name: String,
        /// The first file or folder with this name.
        first: PathBuf,
        /// The second.
        second: PathBuf,
    },
    /// More domains than a label can tell apart.
    #[error(
        "{n_domains} domains are too many, at most 65536 have a label; group the files in folders, one a domain"
    )]
    TooManyDomains {
        /// The number of domains found.
        n_domains: usize,
    },
    /// A part of a domain that does not fill one window.
    #[error(
        "domain `{domain}`: its {split} part has {tokens} tokens ({bytes} bytes), one window needs {needed} \
         (train.seq_length + 1); add text (about {in_all} bytes in all), or make train.seq_length smaller"
    )]
    TooShort {
        /// The name of the domain.
        domain: String,
        /// The part that is too short.
        split: Split,
        /// Its length in tokens.
        tokens: usize,
        /// Its length in bytes.
        bytes: usize,
        /// Tokens that one window needs: the sequence length and one.
        needed: usize,
        /// Bytes of all files of the domain that would give as many, about.
        in_all: usize,
    },
    /// A vocabulary smaller than the 256 bytes that it starts from.
    #[error(
        "data.vocab_size = {size} is too small: byte-level BPE starts from the 256 bytes; use 257 or more, or data.vocab = \"bytes\""
    )]
    VocabTooSmall {
        /// The size that was asked for.
        size: usize,
    },
    /// A Unigram vocabulary without a piece of its own.
    #[error(
        "data.vocab_size = {size} is too small: a Unigram vocabulary has 102 special tokens and the 256 bytes; use {least} or more"
    )]
    UnigramTooSmall {
        /// The size that was asked for.
        size: usize,
        /// The least size.
        least: usize,
    },
    /// A text without enough different pairs to learn the vocabulary from.
    #[error(
        "data.vocab_size = {size} is too large: the train text gives {reached} tokens; set data.vocab_size = {reached}, or add text"
    )]
    VocabTooLarge {
        /// The size that was asked for.
        size: usize,
        /// The size at which no pair was left to merge.
        reached: usize,
    },
    /// A vocabulary file that cannot be written, read or used.
    #[error(
        "vocabulary `{path}`: {reason}; it must be the tokenizer.json of a byte-level BPE without a normalizer"
    )]
    BadVocab {
        /// The file.
        path: PathBuf,
        /// Fault of the file.
        reason: String,
    },
    /// A corpus with parts of its own, and another path for validation.
    #[error(
        "`{path}` was made by `moe data prepare` and has parts of its own; remove data.validation_path, or give it alone as data.path"
    )]
    OwnParts {
        /// The folder.
        path: String,
    },
    /// Preparing a corpus, or reading a prepared one.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// Pairs of texts.
    #[error(transparent)]
    Pairs(#[from] PairError),
    /// Images.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// The operating system refused to read or write.
    #[error(
        "cannot {action} `{path}`: {source}; check the path and its permissions, or copy it again"
    )]
    Io {
        /// Action that failed.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}
