//! `moe data`: larger corpora of text, from packages that the reader fetched or from files.

use super::list::Format;
use super::listing::{Cell, Listing};
use crate::exit::{Status, Usage};
use crate::interrupt;
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::{Args, Subcommand};
use moe_train::data::DataError;
use moe_train::data::corpora::{
    CorpusManifest, CorpusSource, Existing, PACKAGES, Package, PreparedCorpus, SourceRecord,
    check_folder, prepare,
};
use moe_train::resolve::nearest;
use moe_view::{Align, columns, thousands};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The arguments of `moe data`.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct DataArgs {
    #[command(subcommand)]
    what: What,
}

/// The actions of `moe data`.
#[derive(Subcommand, Debug)]
enum What {
    /// List the packages that hold a corpus, each with the command that fetches it
    List(ListArgs),
    /// Make a corpus of packages and files: no text twice, split by document, with a manifest
    Prepare(PrepareArgs),
}

/// The arguments of `moe data list`.
#[derive(Args, Debug)]
#[command(
    after_help = "Nothing is downloaded by this program: run the command in the last column."
)]
struct ListArgs {
    /// The form to print it in; `--json` is the same as `--format json`
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The arguments of `moe data prepare`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe data prepare kjv sotu -o corpus\n  moe data prepare --path letters --path notes.zip -o corpus --seed 3\n\nA file is a document. The part of a document follows from its text and the seed. Archives are read and not unpacked."
)]
struct PrepareArgs {
    /// Corpora of `moe data list`, whose packages are in the folder --packages
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// A folder, file or archive (.zip, .whl, .tar, .tar.gz, .tgz, .tar.zst) of your own texts; may be repeated
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The folder that the packages were fetched into
    #[arg(long, value_name = "DIR", default_value = "packages")]
    packages: PathBuf,
    /// The folder to write
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
    /// Replace a corpus that is in the folder
    #[arg(long)]
    force: bool,
}

/// Lists packages or prepares a corpus.
pub fn run(args: &DataArgs, shared: &Shared) -> anyhow::Result<Status> {
    match &args.what {
        What::List(args) => list(args, shared),
        What::Prepare(args) => args.run(shared),
    }
}

fn list(args: &ListArgs, shared: &Shared) -> anyhow::Result<Status> {
    let format = if shared.json {
        Format::Json
    } else {
        args.format
    };
    let listing = packages();
    match format {
        Format::Json => print_json(&listing.json())?,
        Format::Md => print(&listing.markdown())?,
        Format::Text => print(&listing.text())?,
    }
    if format == Format::Text {
        shared.next("data prepare kjv sotu -o corpus");
    }
    Ok(Status::Done)
}

/// The packages with what they hold.
fn packages() -> Listing {
    let row = |package: &Package| {
        let bytes = |n: u64| Cell::Number(n, thousands(n));
        let (registry, name, version) = (package.registry, package.package, package.version);
        vec![
            Cell::Name(package.name.to_owned()),
            Cell::Words(package.about.to_owned()),
            Cell::Words(package.licence.to_owned()),
            bytes(package.text_bytes),
            Cell::Words(format!("{registry}: {name} {version}")),
            bytes(package.fetched_bytes),
            Cell::Name(package.fetch.to_owned()),
        ]
    };
    Listing {
        topic: "corpora",
        header: vec![
            "name",
            "what",
            "licence",
            "text bytes",
            "package",
            "to fetch",
            "command",
        ],
        rows: PACKAGES.iter().map(row).collect(),
        remark: None,
    }
}

impl PrepareArgs {
    fn run(&self, shared: &Shared) -> anyhow::Result<Status> {
        let sources = self.sources()?;
        let existing = if self.force {
            Existing::Replace
        } else {
            Existing::Keep
        };
        check_folder(&self.out, existing).map_err(data_error)?;
        let stop = interrupt::stop_flag("stopping")?;
        let mut reading = |path: &Path| shared.note(&format!("reading {}", path.display()));
        let prepared = prepare(&sources, shared.seed.unwrap_or(0), &mut reading, &stop);
        let corpus = match prepared {
            Err(DataError::Interrupted) => {
                shared.note("interrupted; nothing was written");
                return Ok(Status::Interrupted);
            }
            prepared => prepared.map_err(data_error)?,
        };
        if !shared.dry_run {
            corpus.write(&self.out, existing)?;
        }
        self.report(&corpus, shared)?;
        Ok(Status::Done)
    }

    /// The sources in the order of the command line, names first.
    fn sources(&self) -> anyhow::Result<Vec<CorpusSource>> {
        let package = |name: &String| {
            let package = Package::named(name).ok_or_else(|| unknown(name))?;
            Ok(CorpusSource::package(package, &self.packages))
        };
        let own = self.paths.iter().map(|path| Ok(CorpusSource::own(path)));
        let sources: Vec<_> = self
            .names
            .iter()
            .map(package)
            .chain(own)
            .collect::<Result<_, anyhow::Error>>()?;
        if sources.is_empty() {
            return Err(Usage::error(
                "there is nothing to prepare; name a corpus of `moe data list`, or give your own texts by --path",
            ));
        }
        Ok(sources)
    }

    fn report(&self, corpus: &PreparedCorpus, shared: &Shared) -> anyhow::Result<()> {
        let manifest = &corpus.manifest;
        let folder = shown(&self.out);
        if shared.json {
            return print_json(&json!({
                "folder": self.out,
                "written": !shared.dry_run,
                "seed": manifest.seed,
                "sources": manifest.sources,
                "parts": manifest.parts,
            }));
        }
        print(&table(manifest))?;
        if shared.dry_run {
            print(&format!("would write {folder}"))?;
            return Ok(());
        }
        print(&format!("wrote {folder}"))?;
        shared.next(&format!(
            "train configs/quickstart.toml data.name=text data.path={folder}"
        ));
        Ok(())
    }
}

/// The refusal of a name that no package has.
fn unknown(name: &str) -> anyhow::Error {
    if Path::new(name).exists() {
        return Usage::error(format!(
            "`{name}` is no corpus of `moe data list`; write `--path {name}` for a folder, file or archive of your own"
        ));
    }
    let names = PACKAGES.iter().map(|package| package.name);
    let hint = match nearest(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
    };
    Usage::error(format!("there is no corpus `{name}`; {hint}"))
}

/// The error of the sources or the folder: one of usage, but for the system's refusals.
fn data_error(error: DataError) -> anyhow::Error {
    match error {
        DataError::Io { .. } | DataError::Memory { .. } => error.into(),
        error => Usage::error(error.to_string()),
    }
}

/// A row for each domain: bytes of its parts, and what was removed.
fn table(manifest: &CorpusManifest) -> String {
    let header = [
        "domain",
        "documents",
        "train bytes",
        "validation bytes",
        "test bytes",
        "removed documents",
        "removed paragraphs",
        "removed bytes",
    ];
    let mut rows = vec![header.map(String::from).to_vec()];
    rows.extend(manifest.sources.iter().map(|source| row(source, manifest)));
    let mut align = [Align::Right; 8];
    align[0] = Align::Left;
    columns(&rows, &align)
}

fn row(source: &SourceRecord, manifest: &CorpusManifest) -> Vec<String> {
    let parts = manifest
        .parts
        .iter()
        .filter(|part| part.domain == source.domain);
    let documents = parts.clone().map(|part| part.documents).sum();
    let removed = source.removed;
    let gone = removed.empty_documents + removed.equal_documents + removed.repeating_documents;
    let bytes = parts.map(|part| part.bytes);
    let numbers = [documents].into_iter().chain(bytes);
    let numbers = numbers.chain([gone, removed.paragraphs, removed.bytes]);
    let cells = numbers.map(|n| thousands(n as u64));
    [source.domain.clone()].into_iter().chain(cells).collect()
}
