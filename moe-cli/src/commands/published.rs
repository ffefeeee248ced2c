//! Output of `moe inspect` on a published model.

mod saving;

use self::saving::CacheSaving;
use super::parameters::{ACTIVE, ACTIVE_HEAD_ONLY, ACTIVE_NO_EMBEDDING, FOOTNOTES, MTP, active};
use super::precision::Precision;
use crate::exit::{OrUsage, Status, Usage};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use moe_checkpoint::published::{
    KNOWN_MODELS, KNOWN_SWITCH_MODELS, PublishedAccount, PublishedConfig, PublishedError,
    Resembling, config_file, known_name,
};
use moe_train::resolve::nearest;
use moe_view::{bytes, pairs, si, thousands};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The output.
#[derive(Serialize, Debug)]
struct Inspection {
    model: String,
    model_type: String,
    /// The family that an unknown one was counted as.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted_as: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_counted: Vec<String>,
    seq_length: usize,
    #[serde(flatten)]
    account: PublishedAccount,
    precision: &'static str,
    kv_bytes_per_token: f64,
    kv_bytes_per_sequence: f64,
    weights_bytes_f32: usize,
    weights_bytes_bf16: usize,
    weights_bytes_fp8: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_saving: Option<CacheSaving>,
    config: PublishedConfig,
}

/// A published decoder.
pub struct Published {
    config: PublishedConfig,
    /// How it was read, if its family is not known.
    resembling: Option<Resembling>,
}

/// The configuration that a name, a folder or its file stands for, if it stands for a published decoder.
pub fn published(given: &Path) -> anyhow::Result<Option<Published>> {
    let known = |config| Published {
        config,
        resembling: None,
    };
    of_name_or_folder(
        given,
        |name| PublishedConfig::known(name).map(known),
        |file| match PublishedConfig::read(file) {
            Err(PublishedError::UnknownType { .. }) => {
                let read = Resembling::read(file).or_usage()?;
                Ok(Some(Published {
                    config: read.config.clone(),
                    resembling: Some(read),
                }))
            }
            read => Ok(Some(known(read.or_usage()?))),
        },
    )
}

/// The file that says the sizes of a checkpoint, which may be given itself, without weights beside it.
pub fn sizes_file(given: &Path) -> PathBuf {
    if given.extension().is_some_and(|end| end == "json") {
        given.to_owned()
    } else {
        config_file(given)
    }
}

/// The model of a folder's `config.json` or of a GGUF file, or the one known by name where there is no such file or folder.
pub fn of_name_or_folder<T>(
    given: &Path,
    known: impl FnOnce(&str) -> Option<T>,
    read: impl FnOnce(&Path) -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let file = sizes_file(given);
    if file.is_file() {
        return read(&file);
    }
    if given.exists() {
        return Ok(None);
    }
    Ok(given.to_str().and_then(known))
}

/// The path itself, or the name of a published model as it is listed where others spell it otherwise.
///
/// # Errors
///
/// Returns what is near, and all that are known, if there is neither a file nor a model of that name.
pub fn listed(given: &Path) -> anyhow::Result<PathBuf> {
    let is_configuration = given.extension().is_some_and(|e| e == "toml");
    if given.exists() || is_configuration {
        return Ok(given.to_owned());
    }
    let name = given.to_string_lossy();
    if let Some(known) = known_name(&name) {
        return Ok(known.into());
    }
    let known = || KNOWN_MODELS.iter().chain(KNOWN_SWITCH_MODELS).copied();
    let short = name.rsplit('/').next().unwrap_or(&name);
    let near =
        nearest(short, known()).map_or(String::new(), |near| format!("did you mean `{near}`? "));
    Err(Usage::error(format!(
        "there is no file `{name}`, and no published model of that name; {near}known: {}",
        known().collect::<Vec<_>>().join(", ")
    )))
}

/// A published model is what it is.
pub fn no_overrides(overrides: &[String]) -> anyhow::Result<()> {
    match overrides.first() {
        Some(first) => Err(Usage::error(format!(
            "`{first}`: a published model has no keys to replace; leave it out"
        ))),
        None => Ok(()),
    }
}

/// Prints the size and cost of a published model.
pub fn show(
    given: &Path,
    published: Published,
    overrides: &[String],
    options: Options,
    shared: &Shared,
) -> anyhow::Result<Status> {
    no_overrides(overrides)?;
    let config = &published.config;
    let seq_length = options.seq_length(config);
    config.check(seq_length, given).or_usage()?;
    match &published.resembling {
        Some(read) => shared.note(&approximate(read)),
        None => shared.note_unread(&config.common().unread),
    }
    let inspection = Inspection::new(given, published, options);
    if shared.json {
        print_json(&inspection)?;
    } else {
        print(&inspection.table())?;
        let mut others = KNOWN_MODELS.iter().filter(|name| given != Path::new(name));
        let other = others.next_back().copied().unwrap_or_default();
        shared.next(&format!("inspect {other}"));
    }
    Ok(Status::Done)
}

/// What was counted of a family that is not known.
fn approximate(read: &Resembling) -> String {
    let left = if read.left.is_empty() {
        "nothing else is in it".to_owned()
    } else {
        format!("not understood, and not counted: {}", read.left.join(", "))
    };
    format!(
        "the family {} is not known here and was counted as {}, by {}; {left}",
        read.model_type,
        read.config.model_type(),
        read.understood.join(", ")
    )
}

/// The conditions that a published model is counted for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The precision of the cache.
    pub precision: Precision,
    /// The length of a sequence; that of the configuration, up to 4096, if none.
    pub seq_length: Option<usize>,
}

impl Options {
    fn seq_length(&self, config: &PublishedConfig) -> usize {
        let longest = config.common().max_position_embeddings.min(4096);
        self.seq_length.unwrap_or(longest)
    }
}

impl Inspection {
    fn new(given: &Path, published: Published, options: Options) -> Self {
        let config = published.config;
        let family = config.model_type();
        let (model_type, counted_as, not_counted) = match published.resembling {
            Some(read) => (read.model_type, Some(family), read.left),
            None => (family.to_owned(), None, Vec::new()),
        };
        let seq_length = options.seq_length(&config);
        let account = config.account(seq_length);
        let kv_bytes_per_token = options.precision.bytes(account.kv_elements_per_token);
        let weights = account.params_total + account.params_mtp;
        Self {
            model: given.display().to_string(),
            model_type,
            counted_as,
            not_counted,
            seq_length,
            precision: options.precision.name(),
            kv_bytes_per_token,
            kv_bytes_per_sequence: kv_bytes_per_token * seq_length as f64,
            weights_bytes_f32: 4 * weights,
            weights_bytes_bf16: 2 * weights,
            weights_bytes_fp8: weights,
            cache_saving: (given == Path::new("deepseek-v2")).then(|| CacheSaving::of(&account)),
            account,
            config,
        }
    }

    fn table(&self) -> String {
        let a = &self.account;
        let count = |n: usize| thousands(n as u64);
        let mut rows = vec![
            ("model", format!("{} ({})", self.model, self.family())),
            ("parameters", count(a.params_total)),
            (ACTIVE, active(a.params_active, a.params_total)),
            (ACTIVE_HEAD_ONLY, count(a.params_active_head_only)),
            (ACTIVE_NO_EMBEDDING, count(a.params_active_no_embedding)),
        ];
        if a.params_mtp > 0 {
            rows.push((MTP, count(a.params_mtp)));
        }
        rows.push(("FLOP a token", si(a.flops_per_token as f64)));
        rows.push(("attention", a.attention.name().to_owned()));
        rows.extend(self.cache_rows());
        rows.extend([
            ("weights in f32", bytes(self.weights_bytes_f32 as u64)),
            ("weights in bf16", bytes(self.weights_bytes_bf16 as u64)),
            ("weights in fp8", bytes(self.weights_bytes_fp8 as u64)),
        ]);
        let table = format!("{}\n\n{FOOTNOTES}", pairs(&rows));
        match &self.cache_saving {
            Some(saving) => format!("{table}\n\n{}", saving.text()),
            None => table,
        }
    }

    fn family(&self) -> String {
        match self.counted_as {
            Some(known) => format!("{}, counted as {known}", self.model_type),
            None => self.model_type.clone(),
        }
    }

    fn cache_rows(&self) -> [(&'static str, String); 3] {
        let count = |n: usize| thousands(n as u64);
        let cached = format!(
            "{} numbers, {} in {}",
            count(self.account.kv_elements_per_token),
            bytes(self.kv_bytes_per_token.round() as u64),
            self.precision
        );
        let materialised = count(self.account.kv_elements_per_token_materialised);
        let sequence = bytes(self.kv_bytes_per_sequence.round() as u64);
        [
            ("KV cache a token", cached),
            (
                "  with all heads materialised",
                format!("{materialised} numbers"),
            ),
            (
                "KV cache of a sequence",
                format!("{sequence} ({} tokens)", count(self.seq_length)),
            ),
        ]
    }
}
