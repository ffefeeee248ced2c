//! What README.md and the reference of the command line say is what the program does.

#[path = "readme/guide.rs"]
mod guide;
#[path = "readme/page.rs"]
mod page;

use page::{read, root};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The pages that together show every command.
const PAGES: [&str; 2] = ["README.md", "docs/reference/command-line.md"];

fn moe(arguments: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_moe"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("moe runs")
}

/// The arguments of every `cargo run --release -- ...` line.
fn commands() -> Vec<Vec<String>> {
    page::commands(&PAGES.map(|page| read(&root().join(page))).join("\n"))
}

#[test]
fn every_command_of_the_program_is_shown() {
    let help = String::from_utf8(moe(&["--help".to_owned()]).stdout).expect("text");
    let (_, list) = help
        .split_once("Commands:\n")
        .expect("help lists the commands");
    let own: Vec<&str> = list
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|&name| name != "help")
        .collect();
    assert!(own.len() >= 14, "{own:?}");
    let shown: Vec<String> = commands()
        .into_iter()
        .map(|words| words[0].clone())
        .collect();
    for name in &own {
        assert!(
            shown.iter().any(|shown| shown == name),
            "{PAGES:?} do not show `moe {name}`"
        );
    }
    for name in shown {
        assert!(
            own.contains(&name.as_str()),
            "{PAGES:?} show `moe {name}`, which is not there"
        );
    }
}

#[test]
fn the_guide_lists_the_configurations_as_the_command_does() {
    let words = ["list", "configs", "--format", "md"].map(str::to_owned);
    let listed = String::from_utf8(moe(&words).stdout).expect("text");
    let page = read(&root().join("docs/guide/train.md"));
    assert!(page.contains(&listed), "{listed}");
}

#[test]
fn every_command_is_accepted() {
    let commands = commands();
    assert!(commands.len() >= 6, "{commands:?}");
    for mut arguments in commands {
        // laws and audit take a minute, the others read a run that does not exist in a fresh clone
        let left_out = [
            "generate", "eval", "report", "runs", "export", "analyze", "trace", "laws", "audit",
        ];
        if left_out.contains(&arguments[0].as_str()) {
            let help = [arguments[0].clone(), "--help".to_owned()];
            let help = String::from_utf8(moe(&help).stdout).expect("text");
            for flag in arguments.iter().filter(|a| a.starts_with("--")) {
                assert!(help.contains(flag.as_str()), "{flag} in {arguments:?}");
            }
            continue;
        }
        if ["train", "ablate", "bench", "figure", "convert"].contains(&arguments[0].as_str()) {
            arguments.push("--dry-run".to_owned());
        }
        let output = moe(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
    }
}

/// The Markdown files of a folder and of those below it.
fn pages_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of documents");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => pages_below(&path),
            Some(extension) if extension == "md" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

#[test]
fn every_linked_file_exists() {
    let mut pages = pages_below(&root().join("docs"));
    let others = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"];
    pages.extend(others.map(|name| root().join(name)));
    assert!(pages.len() >= 20, "{pages:?}");
    for page in pages {
        let text = read(&page);
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next())
            .filter(|link| !link.is_empty() && !link.starts_with("http"));
        for link in links {
            let target = page.parent().expect("a folder").join(link);
            assert!(target.exists(), "{} links to {link}", page.display());
        }
    }
}
