//! The threads that compute, kept awake between two pieces of work.
//!
//! A forward pass hands hundreds of small pieces to the thread pool. A thread that sleeps takes tens of
//! microseconds to answer, longer than many a piece, and the thread that asks waits for its own waking too.
//! So the program works on a thread of the pool, and the others watch for work instead of sleeping.

use crate::exit::Usage;
use anyhow::Context;
use moe_bench::profile::processors;
use rayon::{ThreadPoolBuilder, Yield};
use std::hint;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The time for which a thread without work watches for it with all its attention.
const WATCH: Duration = Duration::from_millis(2);

/// The longest that a thread looks away from its queue.
const NAP: Duration = Duration::from_millis(1);

/// Looks at the queue before it is asked what time it is and whether another program wants the processor.
const LOOKS: usize = 64;

/// The most threads that are started: each watches for work, so that thousands would keep the machine from its own.
const MOST: usize = 1024;

/// Starts the threads of the global pool: the share of one of `jobs` processes in what the processor has, or as many
/// as `RAYON_NUM_THREADS` says.
///
/// # Errors
///
/// Returns an error for more than [`MOST`] threads, and the system's error if it gives no more.
pub fn start(jobs: usize) -> anyhow::Result<()> {
    let asked = std::env::var("RAYON_NUM_THREADS").ok();
    let number = asked.as_ref().and_then(|text| text.parse::<usize>().ok());
    if let Some(n_threads) = number
        && n_threads > MOST
    {
        return Err(Usage::error(format!(
            "RAYON_NUM_THREADS={n_threads} asks for more than {MOST} threads: set it to the number of processors, or leave it out"
        )));
    }
    let mut pool = ThreadPoolBuilder::new();
    if jobs > 1 && asked.is_none() {
        let all = thread::available_parallelism().map_or(1, usize::from);
        pool = pool.num_threads((all / jobs).max(1));
    }
    pool.build_global().context(
        "cannot start the threads that compute. RAYON_NUM_THREADS=1 needs the fewest; or allow more processes (ulimit -u) or memory (ulimit -v)",
    )
}

/// Does `work` on a thread of the global pool while the others stay awake.
pub fn kept_awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let done = AtomicBool::new(false);
    let is_done = &done;
    rayon::scope(|scope| {
        let owner = rayon::current_thread_index();
        for _ in 1..rayon::current_num_threads() {
            // the owner may take this one up while it waits for other work, and must not wait for itself
            scope.spawn(move |_| {
                if rayon::current_thread_index() != owner {
                    watch(is_done);
                }
            });
        }
        let _end = Ends(is_done);
        work()
    })
}

/// Sets its flag when it is dropped, by the end of the work or by a panic in it.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Nanoseconds for which threads have watched for work with all their attention.
static WATCHED: AtomicU64 = AtomicU64::new(0);

/// Time that the processors have worked for this process so far, without that of threads that watched for work.
pub fn worked() -> Duration {
    let watched = Duration::from_nanos(WATCHED.load(Ordering::Relaxed));
    processors().saturating_sub(watched)
}

/// Does what work there is until `done`; naps while there has long been none, for a twentieth of the time
/// that has passed without.
fn watch(done: &AtomicBool) {
    let mut idle_since = Instant::now();
    let mut looks_since = idle_since;
    while !done.load(Ordering::Acquire) {
        if has_worked() {
            idle_since = Instant::now();
            looks_since = idle_since;
            continue;
        }
        let now = Instant::now();
        let looked = now - looks_since;
        WATCHED.fetch_add(looked.as_nanos() as u64, Ordering::Relaxed);
        let idle = now - idle_since;
        if idle < WATCH {
            thread::yield_now();
            looks_since = now;
        } else {
            thread::sleep(NAP.min(idle / 20));
            looks_since = Instant::now();
        }
    }
}

/// Looks for work some times; true once some was done.
fn has_worked() -> bool {
    (0..LOOKS).any(|_| {
        hint::spin_loop();
        rayon::yield_now() == Some(Yield::Executed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;
    use std::panic::{self, AssertUnwindSafe};

    fn pool(n_threads: usize) -> rayon::ThreadPool {
        let pool = ThreadPoolBuilder::new().num_threads(n_threads);
        pool.build().expect("threads can be started")
    }

    /// The sum of 0..1000 by all threads, after they have idled for some milliseconds.
    fn sum() -> usize {
        thread::sleep(5 * WATCH);
        (0..1000).into_par_iter().with_max_len(1).sum()
    }

    #[test]
    fn work_is_done_by_any_number_of_threads_and_ends() {
        for n_threads in [1, 2, 5] {
            let sums = pool(n_threads).install(|| kept_awake(|| [sum(), sum()]));
            assert_eq!(sums, [499_500, 499_500], "{n_threads} threads");
        }
    }

    #[test]
    fn time_that_threads_watch_is_counted() {
        // 100 ms of one thread, while the other has next to nothing to do
        let watched = WATCHED.load(Ordering::Relaxed);
        let busy = || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(100) {
                // work that is handed out keeps the other thread from its naps
                thread::sleep(Duration::from_micros(100));
                rayon::join(hint::spin_loop, hint::spin_loop);
            }
        };
        pool(2).install(|| kept_awake(busy));
        let watched = WATCHED.load(Ordering::Relaxed) - watched;
        assert!(watched > 0, "the other thread has watched");
    }

    #[test]
    fn a_panic_ends_it() {
        let pool = pool(3);
        let work = || pool.install(|| kept_awake(|| panic!("as planned")));
        let result: Result<(), _> = panic::catch_unwind(AssertUnwindSafe(work));
        assert!(result.is_err());
        assert_eq!(pool.install(sum), 499_500); // the threads are free again
    }
}
