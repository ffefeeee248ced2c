//! The commands that a page shows: the lines of its `sh` blocks.

use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a page.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages of the guide, in order.
pub fn guide() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("docs/guide")).expect("the guide");
    let mut pages: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    pages.sort();
    pages
}

/// The arguments of every `cargo run --release -- ...` line of a page's `sh` blocks.
pub fn commands(text: &str) -> Vec<Vec<String>> {
    let mut is_shell = false;
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            if line.starts_with("```") {
                is_shell = line == "```sh";
            } else if is_shell && let Some(line) = line.strip_prefix("cargo run --release -- ") {
                return Some(words(line));
            }
        }
    })
    .collect()
}

/// The words of a line up to its remark, or to where another program takes its output; either kind of quotation marks
/// holds words together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.split(" #").next().unwrap_or(line).chars().chain([' ']) {
        match quote {
            Some(open) if c == open => quote = None,
            None if ['"', '\''].contains(&c) => quote = Some(c),
            None if c.is_whitespace() => {
                if ["|", ">"].contains(&word.as_str()) {
                    return words;
                }
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(c),
        }
    }
    words
}
