//! The one way to stdout, and the one to stderr.

use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};

/// Prints text and a line break.
pub fn print(text: &str) -> io::Result<()> {
    print_raw(&format!("{}\n", text.trim_end_matches('\n')))
}

/// Prints text as it is, at once.
pub fn print_raw(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Prints one JSON document.
pub fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// Prints a line on stderr. Nobody reading it is no reason to stop, so an error is ignored.
pub fn say(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
