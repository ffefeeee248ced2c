//! The exchange of bytes among processes, and the two numbers that a model of it needs.
//!
//! An exchange in which a rank sends `n` bytes to others takes about `alpha + n / beta` (Hockney 1994): a time to
//! begin, which is that of an empty one, and bytes a second, which are those of large ones.

use crate::table::{columns, milliseconds, thousands};
use crate::timing::Timing;
use moe_lab::stats::median;
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
    /// Seconds to begin an exchange.
    pub alpha_s: f64,
    /// Bytes a second that a rank sends to others.
    pub beta: f64,
}

/// The time of an exchange.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExchangeTime {
    /// Bytes that each rank sends to all others together.
    pub bytes: usize,
    /// The time.
    pub time: Timing,
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
        (part * (ranks - 1), Timing::of(&seconds))
    };
    let times: Vec<(usize, Timing)> = PARTS.into_iter().map(&mut time).collect();
    let alpha_s = times[0].1.median_s;
    let bulk = times
        .iter()
        .filter(|(bytes, _)| *bytes >= BULK * (ranks - 1));
    let per_byte: Vec<f64> = bulk
        .map(|(bytes, time)| (time.median_s - alpha_s) / *bytes as f64)
        .collect();
    let per_byte = median(&per_byte).max(LEAST_PER_BYTE);
    let size = |(bytes, time): (usize, Timing)| ExchangeTime {
        modelled_s: alpha_s + bytes as f64 * per_byte,
        bytes,
        time,
    };
    ExchangeBench {
        engine: world.engine(),
        ranks,
        sizes: times.into_iter().map(size).collect(),
        alpha_s,
        beta: 1.0 / per_byte,
    }
}

impl fmt::Display for ExchangeBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["bytes a rank sends", "ms", "fastest", "GB/s", "model, ms"];
        let mut rows = vec![header.map(String::from).to_vec()];
        for size in &self.sizes {
            let seconds = size.time.median_s;
            rows.push(vec![
                thousands(size.bytes),
                milliseconds(seconds),
                milliseconds(size.time.min_s),
                format!("{:.2}", size.bytes as f64 / seconds / 1e9),
                milliseconds(size.modelled_s),
            ]);
        }
        writeln!(f, "{} ranks, engine {}", self.ranks, self.engine)?;
        writeln!(f, "{}", columns(&rows))?;
        write!(
            f,
            "model: {:.1} us and {:.2} GB/s (--link {:.3e},{:.3e})",
            1e6 * self.alpha_s,
            self.beta / 1e9,
            self.alpha_s,
            self.beta
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
        assert!(all[0].beta > 0.0);
    }
}
