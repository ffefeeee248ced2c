//! The parts of a training step: the share of each, and the processors that it kept busy.

use crate::table::{columns, milliseconds};
use moe_experts::profile::{Part, Pass, Time, Times};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// The parts of a training step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// The parts, in the order of a step.
    pub parts: Vec<PartTime>,
    /// Milliseconds of all parts together, mean over the steps.
    pub parts_ms: f64,
    /// Milliseconds of a step by another clock, mean over the steps.
    pub step_ms: f64,
}

/// The time of a part in a step, mean over the steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartTime {
    /// The part.
    pub part: String,
    /// Milliseconds forward, or of a part that has one direction.
    pub forward_ms: Option<f64>,
    /// Milliseconds backward.
    pub backward_ms: Option<f64>,
    /// The share of all parts.
    pub share: f64,
    /// The processors that it kept busy, mean over its time; none if the system does not tell.
    pub busy: Option<f64>,
}

impl Profile {
    /// The summary of recorded times of `steps` steps, which took `whole` together.
    ///
    /// # Panics
    ///
    /// Panics without a step.
    pub fn new(times: &Times, steps: usize, whole: Duration) -> Self {
        assert!(steps > 0, "a profile needs a step");
        let ms = |time: Duration| 1e3 * time.as_secs_f64() / steps as f64;
        let all: Duration = times.values().map(|time| time.wall).sum();
        let names: BTreeSet<Part> = times.keys().map(|(part, _)| *part).collect();
        let part = |part: Part| {
            let of = |pass: Pass| times.get(&(part, pass)).copied();
            let [forward, backward] = [Pass::Forward, Pass::Backward].map(of);
            let both: Vec<Time> = forward.into_iter().chain(backward).collect();
            let sum = |of: fn(&Time) -> Duration| both.iter().map(of).sum::<Duration>();
            let (wall, processors) = (sum(|t| t.wall), sum(|t| t.processors));
            let busy = processors.as_secs_f64() / wall.as_secs_f64();
            PartTime {
                part: name(part).to_owned(),
                forward_ms: forward.map(|time| ms(time.wall)),
                backward_ms: backward.map(|time| ms(time.wall)),
                share: wall.as_secs_f64() / all.as_secs_f64(),
                busy: (!processors.is_zero()).then_some(busy),
            }
        };
        Self {
            parts: names.into_iter().map(part).collect(),
            parts_ms: ms(all),
            step_ms: ms(whole),
        }
    }
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Data => "data",
        Part::Embedding => "embedding",
        Part::Norms => "norms and residual sums",
        Part::Attention => "attention",
        Part::Router => "router",
        Part::Experts => "experts",
        Part::Head => "head and cross entropy",
        Part::Metrics => "balance losses and metrics",
        Part::Gradients => "collecting gradients",
        Part::Clipping => "clipping",
        Part::Optimizer => "optimizer",
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["part", "forward, ms", "backward, ms", "share", "busy"];
        let mut rows = vec![header.map(String::from).to_vec()];
        let cell = |ms: Option<f64>| ms.map_or("-".into(), |ms| milliseconds(ms / 1e3));
        for part in &self.parts {
            rows.push(vec![
                part.part.clone(),
                cell(part.forward_ms),
                cell(part.backward_ms),
                format!("{:.1} %", 100.0 * part.share),
                part.busy.map_or("-".into(), |busy| format!("{busy:.2}")),
            ]);
        }
        writeln!(f, "{}", columns(&rows))?;
        write!(
            f,
            "parts {:.1} ms together, step {:.1} ms; busy: processors at work, mean over the part",
            self.parts_ms, self.step_ms
        )
    }
}

/// Time that the processors have worked for this process so far; 0 if the system does not tell.
pub fn processors() -> Duration {
    #[cfg(unix)]
    {
        use rustix::time::{ClockId, clock_gettime};
        let time = clock_gettime(ClockId::ProcessCPUTime);
        // the clock of a process starts at 0
        Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec as u32)
    }
    #[cfg(not(unix))]
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processors_work_while_this_thread_does() {
        let before = processors();
        let mut sum = 0u64;
        while processors() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(processors() > before);
    }

    #[test]
    fn two_steps_by_hand() {
        // 10 and 30 ms of attention, of which 60 ms by processors, and 40 ms of the optimizer on one
        let time = |wall, processors| Time {
            wall: Duration::from_millis(wall),
            processors: Duration::from_millis(processors),
        };
        let times = Times::from([
            ((Part::Attention, Pass::Forward), time(10, 20)),
            ((Part::Attention, Pass::Backward), time(30, 40)),
            ((Part::Optimizer, Pass::Forward), time(40, 40)),
        ]);
        let profile = Profile::new(&times, 2, Duration::from_millis(82));
        assert_eq!((profile.parts_ms, profile.step_ms), (40.0, 41.0));
        let attention = &profile.parts[0];
        assert_eq!(attention.part, "attention");
        assert_eq!(
            (attention.forward_ms, attention.backward_ms),
            (Some(5.0), Some(15.0))
        );
        assert_eq!((attention.share, attention.busy), (0.5, Some(1.5)));
        assert_eq!(
            (profile.parts[1].backward_ms, profile.parts[1].busy),
            (None, Some(1.0))
        );
    }
}
