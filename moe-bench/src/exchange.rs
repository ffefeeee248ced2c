//! The exchange of bytes among processes, and the two numbers that a model of it needs.
//!
//! An exchange in which a rank sends `n` bytes to `p` others takes about `p alpha + n / beta` (Hockney 1994): a time to
//! start a message, which that of an empty exchange gives, and bytes a second, which those of large ones give. Both are
//! of mean times, since the exchanges of a step add up: where ranks wait for a processor now and then, no median tells
//! the sum.

use crate::table::{columns, milliseconds, thousands};
use crate::timing::Timing;
use moe_lab::analyze::Link;
use moe_lab::stats::{mean, median};
use moe_parallel::Communicator;
use serde::Serialize;
use std::fmt;
use std::hint::black_box;
use std::time::Instant;

/// The time of exchanges of several sizes, as rank 0 sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExchangeBench {
    /// The engine.
    pub engine: &'static str,
    /// The number of ranks.
    pub ranks: usize,
    /// The sizes.
    pub sizes: Vec<ExchangeTime>,
    /// The model.
    pub link: Link,
}

/// The time of an exchange.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExchangeTime {
    /// Bytes that each rank sends to all others together.
    pub bytes: usize,
    /// The time.
    pub time: Timing,
    /// The mean time in seconds.
    pub mean_s: f64,
    /// Seconds that the fitted model says.
    pub modelled_s: f64,
}

/// Bytes that a rank sends to each other one.
const PARTS: [usize; 9] = [
    0,
    1 << 10,
    1 << 13,
    1 << 16,
    1 << 18,
    1 << 20,
    1 << 21,
    1 << 22,
    LARGEST,
];

/// The most bytes that a rank sends to another.
pub const LARGEST: usize = 1 << 23;

/// The least bytes by which bandwidth is judged: smaller parts stay in the caches, and rows of tokens do not.
const BULK: usize = 1 << 20;

/// Bytes that a rank touches between two exchanges, more than the caches of most processors hold.
const BETWEEN: usize = 1 << 26;

/// The least seconds a byte. Ranks that are threads hand their memory over and copy nothing: what is measured then is
/// noise, of either sign.
const LEAST_PER_BYTE: f64 = 1e-12;

/// Times exchanges. All ranks call it.
pub fn bench(world: &dyn Communicator, repetitions: usize) -> ExchangeBench {
    let ranks = world.size();
    let mut others = vec![0u64; BETWEEN / size_of::<u64>()];
    let mut time = |part: usize| {
        let mut exchange = || {
            // a step works on other memory between two exchanges, so that what is received finds no room in the caches
            others
                .iter_mut()
                .for_each(|value| *value = value.wrapping_add(1));
            black_box(&others);
            // memory that was written just before, as rows are
            let parts = vec![vec![1u8; part]; ranks];
            // no time of waiting for the last rank
            world.gather(&[]);
            let start = Instant::now();
            let received = world.exchange(parts);
            let seconds = start.elapsed().as_secs_f64();
            assert_eq!(received.len(), ranks);
            seconds
        };
        (0..3).for_each(|_| _ = exchange());
        let seconds: Vec<f64> = (0..repetitions).map(|_| exchange()).collect();
        (part * (ranks - 1), seconds)
    };
    let times: Vec<(usize, Vec<f64>)> = PARTS.into_iter().map(&mut time).collect();
    let (peers, empty_s) = (ranks - 1, mean(&times[0].1));
    let bulk = times.iter().filter(|(bytes, _)| *bytes >= BULK * peers);
    let per_byte: Vec<f64> = bulk
        .map(|(bytes, seconds)| (mean(seconds) - empty_s) / *bytes as f64)
        .collect();
    let per_byte = median(&per_byte).max(LEAST_PER_BYTE);
    let link = Link {
        alpha: empty_s / peers.max(1) as f64,
        beta: 1.0 / per_byte,
    };
    let size = |(bytes, seconds): (usize, Vec<f64>)| ExchangeTime {
        modelled_s: link.seconds(peers, bytes as f64),
        bytes,
        time: Timing::of(&seconds),
        mean_s: mean(&seconds),
    };
    ExchangeBench {
        engine: world.engine(),
        ranks,
        sizes: times.into_iter().map(size).collect(),
        link,
    }
}

impl fmt::Display for ExchangeBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = [
            "bytes a rank sends",
            "mean, ms",
            "median",
            "fastest",
            "GB/s",
            "model, ms",
        ];
        let mut rows = vec![header.map(String::from).to_vec()];
        for size in &self.sizes {
            rows.push(vec![
                thousands(size.bytes),
                milliseconds(size.mean_s),
                milliseconds(size.time.median_s),
                milliseconds(size.time.min_s),
                format!("{:.2}", size.bytes as f64 / size.mean_s / 1e9),
                milliseconds(size.modelled_s),
            ]);
        }
        writeln!(f, "{} ranks, engine {}", self.ranks, self.engine)?;
        writeln!(f, "{}", columns(&rows))?;
        write!(
            f,
            "model: microseconds to start a message, and GB/s: --link {}",
            self.link
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_parallel::Threads;

    #[test]
    fn every_size_is_timed() {
        let all = Threads::run(2, |world| bench(&*world, 2));
        assert_eq!(all[0].sizes.len(), PARTS.len());
        assert_eq!(all[0].sizes[1].bytes, 1024);
        assert!(all[0].link.beta > 0.0);
        // what is printed is what `moe analyze` takes
        let text = all[0].to_string();
        let (_, printed) = text.split_once("--link ").expect("a model");
        let link: Link = printed.parse().expect("a link");
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.01;
        assert!(near(link.alpha, all[0].link.alpha) && near(link.beta, all[0].link.beta));
    }
}
