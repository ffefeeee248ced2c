//! The one way to stdout.

use serde::Serialize;
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
