//! The exchange of bytes among processes, and the two numbers that a model of it needs.
//!
//! An exchange in which a rank sends `n` bytes to others takes about `alpha + n / beta` (Hockney 1994): a time to
//! begin, and bytes a second.

use crate::table::{columns, milliseconds, thousands};
use crate::timing::Timing;
use moe_parallel::Communicator;
use serde::Serialize;
use std::fmt;

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
    1 << 15,
    1 << 17,
    1 << 18,
    1 << 19,
    1 << 20,
    1 << 21,
];

/// Times exchanges. All ranks call it.
pub fn bench(world: &dyn Communicator, repetitions: usize) -> ExchangeBench {
    let ranks = world.size();
    let time = |part: usize| {
        let exchange = || {
            let received = world.exchange(vec![vec![0u8; part]; ranks]);
            assert_eq!(received.len(), ranks);
        };
        (
            part * (ranks - 1),
            Timing::measure(3, repetitions, exchange),
        )
    };
    let times: Vec<(usize, Timing)> = PARTS.into_iter().map(time).collect();
    let points: Vec<(f64, f64)> = times
        .iter()
        .map(|(bytes, time)| (*bytes as f64, time.median_s))
        .collect();
    let (alpha_s, per_byte) = fit(&points);
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

/// The line `a + b x` of least squares of relative errors: sizes differ by a factor of thousands, and the large ones
/// must not decide alone.
fn fit(points: &[(f64, f64)]) -> (f64, f64) {
    let mut sums = [0.0; 5];
    for &(x, y) in points {
        let weight = 1.0 / (y * y);
        let terms = [1.0, x, x * x, y, x * y];
        sums.iter_mut()
            .zip(terms)
            .for_each(|(sum, term)| *sum += weight * term);
    }
    let [n, x, xx, y, xy] = sums;
    let b = (n * xy - x * y) / (n * xx - x * x);
    ((y - b * x) / n, b)
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
    fn a_line_is_found() {
        // 2 + 3 x
        let (a, b) = fit(&[(0.0, 2.0), (1.0, 5.0), (10.0, 32.0)]);
        assert!((a - 2.0).abs() < 1e-9 && (b - 3.0).abs() < 1e-9, "{a} {b}");
    }

    #[test]
    fn every_size_is_timed() {
        let all = Threads::run(2, |world| bench(&*world, 2));
        assert_eq!(all[0].sizes.len(), PARTS.len());
        assert_eq!(all[0].sizes[1].bytes, 1024);
        assert!(all[0].beta > 0.0);
    }
}
