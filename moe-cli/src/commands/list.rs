//! `moe list`: what there is to choose from.

use super::claims::claims;
use super::listing::Listing;
use super::topics;
use crate::exit::Status;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

/// The arguments of `moe list`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  moe list routers --format md")]
pub struct ListArgs {
    /// What to list; everything if left out
    topic: Option<Topic>,
    /// How to print it; `--json` is the same as `--format json`
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What can be listed.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    /// Which expert a token goes to
    Routers,
    /// The model families
    Models,
    /// Activations and dispatch
    Experts,
    /// The embedded text
    Data,
    /// The run files of this repository
    Configs,
    /// The claims of this repository, each decided by its runs
    Claims,
    /// What can be computed on
    Backends,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Aligned columns
    Text,
    /// A Markdown table
    Md,
    /// JSON
    Json,
}

impl Topic {
    fn listing(self) -> Listing {
        match self {
            Topic::Routers => topics::routers(),
            Topic::Models => topics::models(),
            Topic::Experts => topics::experts(),
            Topic::Data => topics::data(),
            Topic::Configs => topics::configs(),
            Topic::Claims => claims(),
            Topic::Backends => topics::backends(),
        }
    }
}

/// Prints one list, or all.
pub fn run(args: &ListArgs, shared: &Shared) -> anyhow::Result<Status> {
    let listings: Vec<Listing> = match args.topic {
        Some(topic) => vec![topic.listing()],
        None => Topic::value_variants()
            .iter()
            .map(|topic| topic.listing())
            .collect(),
    };
    match args.format {
        Format::Json => print_json(&json(&listings, args.topic))?,
        _ if shared.json => print_json(&json(&listings, args.topic))?,
        Format::Md => print(&sections(&listings, "## ", Listing::markdown))?,
        Format::Text => {
            print(&sections(&listings, "", Listing::text))?;
            shared.next("inspect configs/quickstart.toml router.name=switch");
        }
    }
    Ok(Status::Done)
}

/// One list alone, several with a heading each.
fn sections(listings: &[Listing], mark: &str, show: fn(&Listing) -> String) -> String {
    if let [listing] = listings {
        return show(listing);
    }
    let section = |listing: &Listing| format!("{mark}{}\n\n{}", listing.topic, show(listing));
    let sections: Vec<String> = listings.iter().map(section).collect();
    sections.join("\n\n")
}

/// One list as an array, several as an object of arrays.
fn json(listings: &[Listing], topic: Option<Topic>) -> Value {
    match (listings, topic) {
        ([listing], Some(_)) => listing.json(),
        _ => {
            let entries = listings.iter().map(|l| (l.topic.to_owned(), l.json()));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}
