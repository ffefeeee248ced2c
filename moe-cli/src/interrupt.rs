//! Ctrl-C: the first asks to stop after saving, the second stops at once.

use crate::terminal::say;
use anyhow::Context;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that Ctrl-C (or a request to terminate) sets; a second one ends the program.
pub fn stop_flag(what_follows: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            process::exit(130);
        }
        say(format!("\n{what_follows}; Ctrl-C again stops at once"));
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}
