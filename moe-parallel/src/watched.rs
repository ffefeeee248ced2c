//! A watch over calls that wait for other ranks.

use crate::Communicator;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// An engine whose calls end all ranks if they wait longer than a given time. An engine notices a rank that dies;
/// one that hangs it waits for without end.
#[derive(Debug)]
pub struct Watched {
    inner: Arc<dyn Communicator>,
    watch: Arc<Watch>,
}

#[derive(Debug)]
struct Watch {
    patience: Duration,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    made: u64,
    /// The call in progress: its name, the ranks in it, its beginning.
    waiting: Option<(&'static str, usize, Instant)>,
}

impl Watched {
    /// Watches an engine from now on. A call that takes longer than `patience` ends the program: what is waited for
    /// is said on the terminal, and the exit code is 1.
    pub fn new(inner: Arc<dyn Communicator>, patience: Duration) -> Self {
        let watch = Arc::new(Watch {
            patience,
            calls: Mutex::default(),
        });
        let (weak, rank) = (Arc::downgrade(&watch), inner.rank());
        thread::spawn(move || look_after(&weak, rank));
        Self { inner, watch }
    }

    fn timed<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> T {
        let mut calls = self.watch.calls();
        calls.made += 1;
        calls.waiting = Some((name, self.inner.size(), Instant::now()));
        drop(calls);
        let result = call();
        self.watch.calls().waiting = None;
        result
    }
}

impl Watch {
    fn calls(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is waited for, if it takes too long.
    fn overdue(&self) -> Option<String> {
        let calls = self.calls();
        let (name, ranks, since) = calls.waiting?;
        (since.elapsed() > self.patience).then(|| {
            let (call, seconds) = (calls.made, self.patience.as_secs());
            format!("{name} {call} among {ranks} ranks has waited for {seconds} s: one of them hangs (--patience)")
        })
    }
}

fn look_after(watch: &Weak<Watch>, rank: usize) {
    while let Some(watch) = watch.upgrade() {
        if let Some(what) = watch.overdue() {
            eprintln!("error: rank {rank}: {what}");
            // the engine ends the others with this one
            std::process::exit(1);
        }
        let pause = watch.patience.div_f64(10.0);
        drop(watch);
        thread::sleep(pause.min(Duration::from_secs(1)));
    }
}

impl Communicator for Watched {
    fn engine(&self) -> &'static str {
        self.inner.engine()
    }

    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn exchange(&self, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        self.timed("exchange", || self.inner.exchange(parts))
    }

    fn gather(&self, mine: &[u8]) -> Vec<Vec<u8>> {
        self.timed("gather", || self.inner.gather(mine))
    }

    fn split(&self, color: usize) -> Arc<dyn Communicator> {
        Arc::new(Self {
            inner: self.timed("split", || self.inner.split(color)),
            watch: self.watch.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{One, Threads};

    #[test]
    fn a_call_that_waits_too_long_is_named() {
        let watch = Watch {
            patience: Duration::ZERO,
            calls: Mutex::default(),
        };
        assert_eq!(watch.overdue(), None);
        *watch.calls() = Calls {
            made: 7,
            waiting: Some(("gather", 4, Instant::now())),
        };
        thread::sleep(Duration::from_millis(2));
        let what = watch.overdue().expect("2 ms are more than none");
        assert!(
            what.starts_with("gather 7 among 4 ranks has waited"),
            "{what}"
        );
    }

    #[test]
    fn what_is_in_time_passes() {
        let patience = Duration::from_secs(60);
        let heard = Threads::run(2, |world| {
            let watched = Watched::new(world, patience);
            let pair = watched.split(0);
            (
                pair.gather(&[watched.rank() as u8]).concat(),
                watched.watch.overdue(),
            )
        });
        assert_eq!(heard, vec![(vec![0, 1], None); 2]);
        assert_eq!(
            Watched::new(Arc::new(One), patience).gather(&[3]),
            [vec![3]]
        );
    }
}
