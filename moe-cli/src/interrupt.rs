//! Ctrl-C: the first asks to stop after saving, the second stops at once. A signal that whoever started the
//! program has it ignore, as `nohup` does with the hang-up, stays ignored.

use crate::terminal::say;
use anyhow::Context;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The flag of this process.
static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// A flag that Ctrl-C, a request to terminate or a hang-up sets; a second one ends the program. Whoever asks first says
/// what follows.
pub fn stop_flag(what_follows: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    if let Some(stop) = STOP.get() {
        return Ok(Arc::clone(stop));
    }
    let stop = Arc::clone(STOP.get_or_init(Arc::default));
    let flag = Arc::clone(&stop);
    let ignored = signals::ignored();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            process::exit(130);
        }
        say(format!("\n{what_follows}; Ctrl-C again stops at once"));
    })
    .context("cannot listen for Ctrl-C")?;
    signals::ignore(&ignored);
    Ok(stop)
}

/// Leaves requests to stop to the process that says what this one does.
pub fn leave_to_others() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {}).context("cannot listen for Ctrl-C")
}

/// The system's own calls: the crate that listens takes all three signals or none.
#[cfg(unix)]
#[allow(unsafe_code)]
mod signals {
    use libc::{SIG_IGN, SIGHUP, SIGINT, SIGTERM, c_int};
    use std::mem::MaybeUninit;
    use std::ptr;

    /// Those that are ignored now.
    pub(super) fn ignored() -> Vec<c_int> {
        let mut all = vec![SIGINT, SIGTERM, SIGHUP];
        all.retain(|&signal| is_ignored(signal));
        all
    }

    fn is_ignored(signal: c_int) -> bool {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: without a new action it only writes the current one to `action`, which has its size, and
        // zeros are a value of that type too.
        unsafe {
            libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
                && action.assume_init().sa_sigaction == SIG_IGN
        }
    }

    pub(super) fn ignore(signals: &[c_int]) {
        for &signal in signals {
            // SAFETY: to ignore runs no code of ours.
            unsafe { libc::signal(signal, SIG_IGN) };
        }
    }
}

#[cfg(not(unix))]
mod signals {
    pub(super) fn ignored() -> [i32; 0] {
        []
    }

    pub(super) fn ignore(_signals: &[i32]) {}
}
