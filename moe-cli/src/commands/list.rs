//! `moe list`: what there is to choose from.

use super::causality;
use super::claims::claims;
use super::listing::Listing;
use super::{routers, topics};
use crate::exit::{Status, Usage};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::{Args, ValueEnum};
use moe_router::RouterConfig;
use moe_train::resolve::nearest;
use serde_json::{Map, Value, json};

/// The arguments of `moe list`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  moe list routers --format md\n  moe list routers switch")]
pub struct ListArgs {
    /// The things to list; everything if left out
    topic: Option<Topic>,
    /// With `routers`, one router: its rule, its paper and its keys
    name: Option<String>,
    /// The form to print it in; `--json` is the same as `--format json`
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The topics of lists.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    /// Rules that choose a token's experts
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
    /// Devices to compute on
    Backends,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Aligned columns
    Text,
    /// A Markdown table
    Md,
    /// JSON
    Json,
}

impl Topic {
    fn listing(self, format: Format) -> Listing {
        match self {
            Topic::Routers => routers::routers(format),
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
    if let Some(name) = &args.name {
        return one(args, name, shared);
    }
    let format = if shared.json {
        Format::Json
    } else {
        args.format
    };
    let listings: Vec<Listing> = match args.topic {
        Some(topic) => vec![topic.listing(format)],
        None => Topic::value_variants()
            .iter()
            .map(|topic| topic.listing(format))
            .collect(),
    };
    match format {
        Format::Json => print_json(&json(&listings, args.topic))?,
        Format::Md => print(&sections(&listings, "## ", Listing::markdown))?,
        Format::Text => {
            print(&sections(&listings, "", Listing::text))?;
            shared.next("figure switch -o switch.svg");
        }
    }
    Ok(Status::Done)
}

/// Prints one router: its rule, its paper and its keys.
fn one(args: &ListArgs, name: &str, shared: &Shared) -> anyhow::Result<Status> {
    if args.topic != Some(Topic::Routers) {
        return Err(Usage::error(format!(
            "`{name}`: only routers are shown one by one, `moe list routers {name}`"
        )));
    }
    let router = RouterConfig::from_name(name).ok_or_else(|| {
        let near = nearest(name, RouterConfig::NAMES.iter().copied());
        let hint = near.map_or("`moe list routers` shows all".to_owned(), |near| {
            format!("did you mean `{near}`?")
        });
        Usage::error(format!("there is no router `{name}`; {hint}"))
    })?;
    let keys = routers::keys(&router);
    if shared.json || args.format == Format::Json {
        let info = router.info();
        print_json(&json!({
            "name": router.name(),
            "family": info.family.name(),
            "causality": causality::class(info.causality),
            "rule": info.rule,
            "paper": { "authors": info.paper, "arxiv": info.arxiv },
            "keys": keys.json(),
        }))?;
    } else if args.format == Format::Md {
        print(&keys.markdown())?;
    } else {
        print(&format!("{}\n\n{}", routers::about(&router), keys.text()))?;
        shared.next(&format!("figure {0} -o {0}.svg", router.name()));
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
