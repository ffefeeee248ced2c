//! Command lines that cannot be read: the short help of a bare `moe`, and options that are keys.

use crate::shared::Shared;
use crate::terminal::{print, say};
use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use moe_train::config::{RunConfig, SELECTORS};
use std::process::ExitCode;

const SHORT: &str = "\
moe: train, compare, inspect and sample mixture-of-experts models

  moe list                                  what there is: routers, models, data, configurations
  moe inspect configs/quickstart.toml       what a model holds and costs
  moe train configs/quickstart.toml         train it; the same command goes on after a stop
  moe generate RUN -p \"In the beginning\"    continue a text
  moe ablate CONFIG -x router.name=A,B      compare variants over seeds

`moe --help` lists all commands, `moe COMMAND --help` the options of one.";

/// The commands that take `KEY=VALUE`.
const WITH_KEYS: [&str; 8] = [
    "train", "inspect", "match", "ablate", "audit", "bench", "eval", "runs",
];

/// Says what is wrong with a command line, or prints the help that it asks for.
pub fn explain(error: &Error) -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    if arguments.is_empty() {
        return match print(SHORT) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let words = unused(error, &arguments).or_else(|| key_hint(error, &arguments));
    if let Some(words) = words {
        say(format!("error: {words}"));
        return ExitCode::from(2);
    }
    // a reader who has gone is no reason to fail
    let _ = print_own(error);
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Prints the help in its colours, or what is wrong without any: an error quotes the command line.
fn print_own(error: &Error) -> std::io::Result<()> {
    if error.use_stderr() {
        say(error.render().to_string().trim_end());
        return Ok(());
    }
    error.print()
}

/// The refusal of an option that other commands have.
fn unused(error: &Error, arguments: &[String]) -> Option<String> {
    let ContextValue::String(given) = error.get(ContextKind::InvalidArg)? else {
        return None;
    };
    let option = given.split('=').next()?;
    if error.kind() != ErrorKind::UnknownArgument || !Shared::is_option(option) {
        return None;
    }
    let names = arguments.iter().take_while(|word| !word.starts_with('-'));
    let names: Vec<&str> = names.map(String::as_str).collect();
    let command = match names[..] {
        [] => {
            return Some(format!(
                "`{option}` belongs behind a command: moe COMMAND {option}"
            ));
        }
        [command @ ("bench" | "data"), what, ..] => format!("{command} {what}"),
        [command, ..] => command.to_owned(),
    };
    Some(format!(
        "`moe {command}` has no use for `{option}`; leave it out"
    ))
}

/// The spelling of an unknown option that is a key of the configuration.
fn key_hint(error: &Error, arguments: &[String]) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument
        || !WITH_KEYS.contains(&arguments.first()?.as_str())
    {
        return None;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let (option, inline) = match given.split_once('=') {
        Some((option, value)) => (option, Some(value)),
        None => (given.as_str(), None),
    };
    let key = key_of(option.strip_prefix("--")?)?;
    let same = |argument: &String| argument.split('=').next() == Some(option);
    let place = arguments.iter().position(same)?;
    let own = arguments[place].split_once('=').map(|(_, value)| value);
    let next = arguments.get(place + 1).map(String::as_str);
    let value = inline
        .or(own)
        .or(next.filter(|next| !next.starts_with('-')));
    Some(format!(
        "there is no option `{option}`; write `{key}={}`",
        value.unwrap_or("VALUE")
    ))
}

/// The key that is meant by the name of a table, of a key, or of its last part alone.
fn key_of(name: &str) -> Option<String> {
    let name = name.replace('-', "_");
    if let Some(selector) = SELECTORS
        .iter()
        .find(|key| key.split('.').next() == Some(&*name))
    {
        return Some((*selector).to_owned());
    }
    let values = RunConfig::with_router("mixtral").ok()?.values();
    let mut keys = values.into_iter().map(|(key, _)| key);
    keys.find(|key| *key == name || key.rsplit('.').next() == Some(&*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_for_the_keys_they_name() {
        for (name, key) in [
            ("router", Some("router.name")),
            ("model", Some("model.family")),
            ("train.lr", Some("train.lr")),
            ("batch-size", Some("train.batch_size")),
            ("wings", None),
        ] {
            assert_eq!(key_of(name).as_deref(), key);
        }
    }
}
