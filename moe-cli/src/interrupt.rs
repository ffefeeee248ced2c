//! Ctrl-C: the first asks to stop after saving, the second stops at once. The two signals that clusters send before they
//! end a job, SIGUSR1 and SIGUSR2, ask in the same way. A signal that whoever started the program has it ignore, as
//! `nohup` does with the hang-up, stays ignored.

use crate::terminal::say;
use anyhow::Context;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The time in which several signals are one request.
const ONE_REQUEST: Duration = Duration::from_millis(300);

/// The flag of this process.
static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// A flag that Ctrl-C, a request to terminate, a hang-up or a signal of the user's sets; a second one ends the program. Whoever asks first says
/// what follows.
pub fn stop_flag(what_follows: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    if let Some(stop) = STOP.get() {
        return Ok(Arc::clone(stop));
    }
    let stop = Arc::clone(STOP.get_or_init(Arc::default));
    let flag = Arc::clone(&stop);
    let ignored = signals::ignored();
    let mut first: Option<Instant> = None;
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            // a scheduler tells the process, and the launcher that it has told as well passes it on
            if first.is_none_or(|first| first.elapsed() > ONE_REQUEST) {
                process::exit(130);
            }
            return;
        }
        first = Some(Instant::now());
        say(format!("\n{what_follows}; Ctrl-C again stops at once"));
    })
    .context("cannot listen for Ctrl-C")?;
    signals::ignore(&ignored);
    signals::hear_users();
    Ok(stop)
}

/// Leaves requests to stop to the process that says what this one does.
pub fn leave_to_others() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {}).context("cannot listen for Ctrl-C")?;
    signals::hear_users();
    Ok(())
}

/// The system's own calls: the crate that listens takes three signals or none of them, and no others.
#[cfg(unix)]
#[allow(unsafe_code)]
mod signals {
    use libc::{SA_RESTART, SIG_IGN, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, c_int};
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

    /// Makes a request to terminate of the signals that are free for users, which would otherwise end the program.
    pub(super) fn hear_users() {
        for signal in [SIGUSR1, SIGUSR2] {
            if is_ignored(signal) {
                continue;
            }
            // SAFETY: zeros are an empty mask and no flags, and the handler calls nothing but `raise`, which is allowed
            // in one.
            unsafe {
                let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
                action.sa_sigaction = pass_on as *const () as usize;
                action.sa_flags = SA_RESTART;
                libc::sigaction(signal, &raw const action, ptr::null_mut());
            }
        }
    }

    /// The handler of such a signal.
    extern "C" fn pass_on(_signal: c_int) {
        // SAFETY: the system's call takes any number and touches no memory of ours.
        unsafe { libc::raise(SIGTERM) };
    }
}

#[cfg(not(unix))]
mod signals {
    pub(super) fn ignored() -> [i32; 0] {
        []
    }

    pub(super) fn ignore(_signals: &[i32]) {}

    pub(super) fn hear_users() {}
}
