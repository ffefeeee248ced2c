//! The one way to stdout, and the one to stderr.

use moe_view::visible;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};

/// Prints text and a line break. Control characters are shown, whoever wrote them into a name.
pub fn print(text: &str) -> io::Result<()> {
    print_raw(&format!("{}\n", visible(text.trim_end_matches('\n'))))
}

/// Prints text as it is, at once: for styles, for what a pipe takes, and for text that was made visible.
pub fn print_raw(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Prints one JSON document.
pub fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print_raw(&format!(
        "{}\n",
        ascii_controls(&serde_json::to_string_pretty(value)?)
    ))?;
    Ok(())
}

/// JSON whose control characters beyond ASCII are escaped, as those of ASCII are already.
fn ascii_controls(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, '\u{7f}'..='\u{9f}') {
            text.push_str(&format!("\\u{:04x}", c as u32));
        } else {
            text.push(c);
        }
    }
    text
}

/// Prints a line on stderr, control characters shown. Nobody reading it is no reason to stop, so an error is ignored.
pub fn say(text: impl Display) {
    // one write: other processes print to the same place
    let line = format!("{}\n", visible(&text.to_string()));
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_reads_back_without_control_characters() {
        let text = "a\u{9b}31m\x7f é";
        let json = serde_json::to_string(text).expect("text is JSON");
        let json = ascii_controls(&json);
        assert_eq!(json, "\"a\\u009b31m\\u007f é\"");
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
    }
}
