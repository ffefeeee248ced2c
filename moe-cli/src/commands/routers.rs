//! Routers as `moe list routers` shows them: the list, to choose from, and one router with its keys.

use super::causality;
use super::list::Format;
use super::listing::{Cell, Listing};
use moe_router::{RouterConfig, RouterKey};
use moe_train::config::RunConfig;
use moe_view::pairs;

/// The use of each router, in the order of the list.
const PURPOSES: [(&str, &str); 28] = [
    ("mixtral", "a first baseline"),
    ("switch", "top-1 with a capacity"),
    ("noisy_topk", "exploration by trained noise"),
    ("deepseek_moe", "many narrow experts"),
    ("deepseek_v2", "experts on several devices"),
    ("deepseek_v3", "balance almost without loss"),
    ("loss_free", "balance without a loss"),
    ("quantile", "balance without tuning"),
    ("sinkhorn", "balanced top-1 in training"),
    ("base", "equal loads in training"),
    ("vmoe", "images at small capacities"),
    ("gshard", "top-2 with a capacity"),
    ("st_moe", "stable top-2 training"),
    ("composed", "parts of your own"),
    ("expert_choice", "encoders, perfectly even loads"),
    ("cosine", "against collapsing representations"),
    ("top_p", "more experts when unsure"),
    ("dyn_moe", "a learned expert count"),
    ("remoe", "differentiable sparse routing"),
    ("moe_pp", "cheap experts for easy tokens"),
    ("mixture_of_depths", "skipping layers"),
    ("dense", "an upper bound"),
    ("soft_moe", "images, no dropped tokens"),
    ("hash", "a control without learning"),
    ("random", "a control by chance"),
    ("round_robin", "a perfectly even control"),
    ("frozen", "a control without training"),
    ("replay", "repeating recorded routes"),
];

/// All routers of the registry: on a terminal with what they are for, in JSON with their keys.
pub fn routers(format: Format) -> Listing {
    let row = |router: RouterConfig| {
        let info = router.info();
        let mut row = vec![
            Cell::Name(router.name().to_owned()),
            Cell::Words(info.family.name().to_owned()),
            Cell::Words(causality::class(info.causality).to_owned()),
            Cell::Words(info.rule.to_owned()),
            Cell::Paper(info.paper, info.arxiv),
        ];
        match format {
            Format::Text => row.insert(1, Cell::Words(purpose(router.name()).to_owned())),
            Format::Md => (),
            Format::Json => row.push(Cell::Value(keys(&router).json())),
        }
        row
    };
    let mut header = vec!["name", "family", "causality", "rule", "paper"];
    match format {
        Format::Text => header.insert(1, "use it for"),
        Format::Md => (),
        Format::Json => header.push("keys"),
    }
    let names = RouterConfig::names();
    Listing {
        topic: "routers",
        header,
        rows: names
            .into_iter()
            .filter_map(RouterConfig::from_name)
            .map(row)
            .collect(),
        remark: Some(
            "causal: no later token changes an earlier one. leaks: later tokens change earlier ones, so decoders\n\
             refuse it. causal in evaluation: it leaks while training only. Keys of one: moe list routers NAME"
                .to_owned(),
        ),
    }
}

/// The use of a router; nothing for one that is new.
fn purpose(name: &str) -> &'static str {
    let found = PURPOSES.iter().find(|(own, _)| *own == name);
    found.map_or("", |(_, purpose)| purpose)
}

/// A router in words.
pub fn about(router: &RouterConfig) -> String {
    let info = router.info();
    pairs(&[
        ("router", router.name().to_owned()),
        ("family", info.family.name().to_owned()),
        ("causality", causality::class(info.causality).to_owned()),
        ("rule", info.rule.to_owned()),
        ("paper", Cell::Paper(info.paper, info.arxiv).text()),
    ])
}

/// The keys of a router, each with its default.
pub fn keys(router: &RouterConfig) -> Listing {
    let defaults = RunConfig::with_router(router.name()).ok();
    let defaults = defaults.map(|config| config.table());
    let default = |name: &str| Some(defaults.as_ref()?.get("router")?.get(name)?.to_string());
    let row = |key: RouterKey| {
        vec![
            Cell::Name(format!("router.{}", key.name)),
            Cell::Words(key.kind.to_owned()),
            Cell::Words(default(key.name).unwrap_or_default()),
            Cell::Words(key.meaning),
        ]
    };
    // an option is what published models have, and no key of a run
    let is_key = |key: &RouterKey| !key.kind.starts_with("Option<");
    let keys: Vec<RouterKey> = router.keys().into_iter().filter(is_key).collect();
    let remark = keys.is_empty().then(|| "It has no keys.".to_owned());
    Listing {
        topic: "keys",
        header: vec!["key", "type", "default", "meaning"],
        rows: keys.into_iter().map(row).collect(),
        remark,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_router_has_one_purpose_of_a_few_words() {
        // a router that somebody adds for himself needs none; those of the documents have one (tests/routers.rs)
        let names: Vec<&str> = PURPOSES.iter().map(|(name, _)| *name).collect();
        let listed = RouterConfig::NAMES.iter().copied();
        assert_eq!(
            names,
            listed
                .filter(|name| !purpose(name).is_empty())
                .collect::<Vec<_>>()
        );
        let purposes: BTreeSet<&str> = PURPOSES.iter().map(|(_, purpose)| *purpose).collect();
        assert_eq!(purposes.len(), PURPOSES.len());
        assert!(
            purposes
                .iter()
                .all(|purpose| (2..=5).contains(&purpose.split(' ').count()))
        );
    }

    #[test]
    fn json_has_the_keys_and_text_the_purpose() {
        let json = routers(Format::Json).json();
        assert_eq!(json[0]["name"], "mixtral");
        assert_eq!(json[0]["keys"][0]["key"], "router.top_k");
        assert!(json[0].get("use_it_for").is_none());
        let text = routers(Format::Text).text();
        assert!(
            text.lines()
                .any(|line| line.starts_with("mixtral  ") && line.contains("a first baseline"))
        );
        assert_eq!(routers(Format::Md).header.len(), 5);
    }

    #[test]
    fn every_router_has_a_row_of_the_readme_table() {
        let table = routers(Format::Md).markdown();
        for name in RouterConfig::NAMES {
            assert!(table.contains(&format!("\n| `{name}` |")), "{name}");
        }
        assert!(table.contains("[Jiang et al. 2024](https://arxiv.org/abs/2401.04088)"));
    }
}
