//! `moe bench router`: every router, with its share of the layer that it routes for.

use super::workloads::RoundArgs;
use crate::exit::Status;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::Args;
use moe_bench::routing;
use moe_router::RouterConfig;

/// The arguments of `moe bench router`.
#[derive(Args, Debug)]
pub struct RouterArgs {
    /// Routers; all if left out
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = router)]
    router: Vec<&'static str>,
    #[command(flatten)]
    rounds: RoundArgs,
}

fn router(name: &str) -> Result<&'static str, String> {
    let mut names = RouterConfig::NAMES.iter();
    let found = names.find(|listed| **listed == name);
    found
        .copied()
        .ok_or_else(|| format!("there is no router `{name}`; `moe list routers` shows all"))
}

/// Times routers.
pub fn routers(args: &RouterArgs, shared: &Shared) -> anyhow::Result<Status> {
    let open = shared.open_device()?;
    let names = match &args.router[..] {
        [] => RouterConfig::NAMES,
        names => names,
    };
    if shared.dry_run {
        let names = names.join(", ");
        print(&format!(
            "would route {} tokens with {names}",
            routing::N_TOKENS
        ))?;
        return Ok(Status::Done);
    }
    let result = routing::bench(names, &args.rounds.contest(), &open.name, &open.device);
    if shared.json {
        print_json(&result)?
    } else {
        print(&result.to_string())?
    }
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_none_is_refused() {
        assert_eq!(router("switch"), Ok("switch"));
        assert!(router("swich").is_err());
    }
}
